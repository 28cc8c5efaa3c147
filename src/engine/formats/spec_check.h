// What any ModelSpec must satisfy, and which tensors a model of that spec has.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/formats/tensor_table.h"
#include "engine/model_files.h"
#include "engine/model_spec.h"
#include "engine/models/slice.h"

namespace hearth::engine {

// Positive sizes below sane maxima. kCorrupt names `file` and the number. Readers call it before
// any size is multiplied.
Result<void> check_sizes(const ModelSpec& spec, const std::string& file);

// check_sizes, and: heads divisible by kv_heads, even head dimensions, ids inside the vocabulary, a
// usable rope, experts and latent attention that make sense.
Result<void> check_spec(const ModelSpec& spec, const std::string& file);

struct Survey {
  std::vector<ModelTensor> tensors;
  ColumnUnits column_units;
};

// Every tensor that the graph of the files' spec asks for, each checked to be there with its shape.
// kCorrupt names the tensor and what was expected; kUnsupported names a tensor of the layers in
// `table` that the graph does not know.
Result<Survey> survey_tensors(const ModelFiles& files, const TensorTable& table);

}  // namespace hearth::engine
