// How prompts are cut into the steps of a pipeline. A pure function.
#pragma once

#include <cstdint>

namespace hearth {

// Rows of prompts in a step, of `left` still to be computed, at most `rows_max`. Later stages of a
// pipeline wait for the first chunk, and the first stage waits when the last has left it; so chunks
// are a small part of the whole.
int prompt_rows(int64_t left, int stages, int rows_max);

// Token rows of a step at most, unless an instance is told otherwise.
inline constexpr int kStepRowsDefault = 512;

}  // namespace hearth
