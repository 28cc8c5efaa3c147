#include "base/prompt_rows.h"

#include <algorithm>

namespace hearth {
namespace {

// Of a pipeline's steps: the chunks that each stage has of what is left of the prompts, and the
// rows below which a product takes notably longer for each.
constexpr int64_t kChunksPerStage = 8;
constexpr int64_t kChunkRowsMin = 64;

}  // namespace

int prompt_rows(int64_t left, int stages, int rows_max) {
  if (stages == 1) return rows_max;
  const int64_t chunk = std::max(left / (kChunksPerStage * stages), kChunkRowsMin);
  return static_cast<int>(std::min<int64_t>(chunk, rows_max));
}

}  // namespace hearth
