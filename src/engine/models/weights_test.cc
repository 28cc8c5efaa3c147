#include "engine/models/weights.h"

#include <gtest/gtest.h>

#include "base/testing/peak_memory.h"
#include "engine/formats/test_files.h"

namespace hearth::engine {
namespace {

// Most of the model is one matrix: neither is it resident twice while it is packed, nor its file
// afterwards.
TEST(Loading, TakesLittleMemoryBesideThePackedWeights) {
  constexpr uint64_t kVocab = 1 << 20;
  constexpr int64_t kMatrix = kVocab * 32 * 2;
  const TemporaryFolder folder;
  const std::string path =
      folder.write("m.gguf", tiny_llama(/*F16*/ 1, /*row_bytes=*/64, kVocab).build());
  const PeakMemory loading = peak_memory([&] {
    const auto files = ModelFiles::open(path).value();
    const auto model =
        RankModel::load(*files, {.shard = {0, 1}, .threads = 2, .kv_tokens = 16}).value();
    return std::to_string(model->weights().size());
  });
  const int64_t packed = std::atoll(loading.result.c_str());
  EXPECT_GE(packed, kMatrix);
  EXPECT_LE(packed, kMatrix * 1.05);
  EXPECT_GE(loading.bytes, packed);
  EXPECT_LE(loading.bytes, kMemoryFactor * (packed + (16 << 20)));
}

}  // namespace
}  // namespace hearth::engine
