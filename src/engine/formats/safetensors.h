// One .safetensors file: https://github.com/huggingface/safetensors#format. docs/formats.md has the
// layout.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/formats/tensor_table.h"

namespace hearth::engine {

// The tensors of a file with these bytes; `file` names it in errors. kCorrupt (with offset, tensor
// or key, and what was expected) unless header, types, shapes and offsets agree with each other and
// with the file's size, every byte belongs to exactly one tensor, and no name occurs twice.
// kUnsupported for a dtype that is not in the format's list. The views point into `bytes`. Memory
// used while reading is a small multiple of the header, which is at most 100 MB.
Result<std::vector<FileTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                  const std::string& file);

}  // namespace hearth::engine
