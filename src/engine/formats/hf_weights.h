// The tensors of a Hugging Face directory as matrices: a quantised weight and the tensors that hold
// its scales become one view.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/formats/hf_quantization.h"
#include "engine/formats/tensor_table.h"

namespace hearth::engine {

// A tensor and the file it is in, whose path must outlive it.
struct HfTensor {
  FileTensor tensor;
  std::string_view file;
};
using HfTensors = std::map<std::string, HfTensor, std::less<>>;

// The views by name. A quantised weight is called "X.weight" (of gpt-oss: as its blocks, without
// "_blocks"), whatever its parts are called; MLX's "switch_mlp" is "experts". Tensors that are
// neither floats nor parts of a weight are left out, unless they are called ".weight" or ".bias".
// kCorrupt names file and tensor, and the part that is missing or has another shape or type than
// the weight asks for; kUnsupported a scheme that only the tensors tell.
Result<TensorTable> tensor_table_of(const HfQuantization& quantization, const HfTensors& tensors);

}  // namespace hearth::engine
