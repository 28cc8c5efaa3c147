#include "engine/models/weights.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/testing/peak_memory.h"
#include "engine/formats/test_files.h"
#include "engine/models/layers.h"

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

// Every architecture and every encoding that there is a reference of.
std::vector<std::string> all_references() {
  std::vector<std::string> paths;
  for (const char* folder : {"models", "gguf", "encodings"}) {
    for (const auto& entry : std::filesystem::directory_iterator(golden(folder))) {
      const bool model = entry.is_directory() || entry.path().extension() == ".gguf";
      if (model) paths.push_back(entry.path());
    }
  }
  return paths;
}

// What a matrix may take: its bytes in the file and 5 % more, filled up to whole blocks of whole
// lines of the cache, which of matrices as small as the references' is a good part.
double bytes_allowed(const WeightLoader::Matrix& matrix) {
  constexpr int64_t kLine = 64;
  const PackedMatrix& packed = *matrix.packed;
  const double numbers = static_cast<double>(packed.rows) * static_cast<double>(packed.columns);
  const double filled = static_cast<double>(packed.blocks() * kernels::kBlockRows) *
                        static_cast<double>(packed.padded_columns());
  return 1.05 * static_cast<double>(matrix.tensor->bytes) * filled / numbers +
         static_cast<double>(packed.blocks() * kLine);
}

TEST(Loading, NoMatrixGrows) {
  for (const std::string& path : all_references()) {
    SCOPED_TRACE(path);
    const auto files = ModelFiles::open(path).value();
    const Shard all{0, files->spec().layers};
    const auto model =
        RankModel::load(*files, {.shard = all, .threads = 1, .kv_tokens = 16}).value();
    WeightLoader loader(*files, Slice::whole(files->spec()));
    Weights weights;
    ASSERT_TRUE(collect_weights(loader, files->spec(), all, weights).ok());
    double allowed = 0;
    for (const WeightLoader::Matrix& matrix : loader.matrices()) {
      allowed += bytes_allowed(matrix);
      EXPECT_LE(static_cast<double>(matrix.packed->bytes()), bytes_allowed(matrix))
          << matrix.tensor->name;
    }
    EXPECT_LE(static_cast<double>(model->weights().size()), allowed);
  }
}

}  // namespace
}  // namespace hearth::engine
