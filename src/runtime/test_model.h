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

// Rank `rank` of `stages` equal stages, each shared as `shares` say; float32 throughout unless
// `room` says otherwise.
inline std::unique_ptr<engine::RankModel> load_rank(const engine::ModelFiles& files, int rank,
                                                    int stages, const TestRoom& room = {},
                                                    const std::vector<double>& shares = {}) {
  const int layers = files.spec().layers;
  const int slices = shares.empty() ? 1 : static_cast<int>(shares.size());
  const int stage = rank / slices;
  auto model = engine::RankModel::load(files, {.shard = {.layer_begin = stage * layers / stages,
                                                         .layer_end = (stage + 1) * layers / stages,
                                                         .slice = rank % slices,
                                                         .shares = shares},
                                               .precision = room.precision,
                                               .threads = 1,
                                               .kv_tokens = room.kv_tokens,
                                               .sequences_max = room.sequences_max});
  EXPECT_TRUE(model.ok()) << model.error().message();
  return std::move(model).value();
}

}  // namespace hearth::runtime
