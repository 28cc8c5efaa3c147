// What any ModelSpec must satisfy, and which tensors a model of that spec has.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/formats/tensor_table.h"
#include "engine/model_spec.h"

namespace hearth::engine {

// Positive sizes below sane maxima, heads divisible by kv_heads, an even head_dim, ids inside the
// vocabulary, a usable rope. kCorrupt names `file` and the number. Readers call it before any size
// is multiplied.
Result<void> check_spec(const ModelSpec& spec, const std::string& file);

// A tensor that the graph of a spec asks for. A vector has rows == 1.
struct ExpectedTensor {
  static constexpr int kEmbedding = -1;  // in `layer`: with layer 0's stage
  static constexpr int kHead = -2;       // in `layer`: with the last layer's stage

  std::string name;
  int64_t rows = 0;
  int64_t columns = 0;
  int layer = 0;
};

// All of them, in the order of the forward pass. A tied head is not listed.
std::vector<ExpectedTensor> expected_tensors(const ModelSpec& spec);

// Every expected tensor is in `table` with its shape. kCorrupt names the tensor and what was
// expected.
Result<void> check_tensors(const ModelSpec& spec, const TensorTable& table,
                           const std::string& file);

}  // namespace hearth::engine
