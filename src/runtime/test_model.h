// What the tests of this library run: Ember and a small llama, loaded for one rank or for many.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/model_files.h"
#include "engine/rank_model.h"

namespace hearth::runtime {

inline std::string ember_path() { return HEARTH_SOURCE_DIR "/models/ember"; }
inline std::string llama_path() { return HEARTH_SOURCE_DIR "/tests/golden/models/llama"; }

struct TestRoom {
  int64_t kv_tokens = 1024;
  int sequences_max = 8;
  engine::Precision precision = engine::Precision::kExact;
};

inline std::unique_ptr<engine::ModelFiles> open_files(const std::string& path) {
  auto files = engine::ModelFiles::open(path);
  EXPECT_TRUE(files.ok()) << files.error().message();
  return std::move(files).value();
}

// Rank `rank` of `ranks` equal stages; float32 throughout unless `room` says otherwise.
inline std::unique_ptr<engine::RankModel> load_rank(const engine::ModelFiles& files, int rank,
                                                    int ranks, const TestRoom& room = {}) {
  const int layers = files.spec().layers;
  auto model = engine::RankModel::load(files, {.shard = {.layer_begin = rank * layers / ranks,
                                                         .layer_end = (rank + 1) * layers / ranks},
                                               .precision = room.precision,
                                               .threads = 1,
                                               .kv_tokens = room.kv_tokens,
                                               .sequences_max = room.sequences_max});
  EXPECT_TRUE(model.ok()) << model.error().message();
  return std::move(model).value();
}

}  // namespace hearth::runtime
