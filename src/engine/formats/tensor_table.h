// Tensors as a file describes them, before anything is decided about the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/model_files.h"

namespace hearth::engine {

// One tensor of one file, bounds-checked. Valid while the file is mapped.
struct FileTensor {
  std::string name;
  std::string type;                  // as the file's format calls it: "BF16", "I64", "Q6_K"
  std::optional<Encoding> encoding;  // nothing: a type that this build does not compute with
  std::vector<int64_t> shape;        // slowest first; rows x columns for a matrix
  std::span<const std::byte> bytes;
};

// The view of a tensor whose encoding is known; kUnsupported names tensor and type. Leading
// dimensions fold into rows; a vector or scalar is one row.
Result<TensorView> view_of(const FileTensor& tensor, const std::string& file);

// A byte range of a file with the name of its tensor.
struct NamedRange {
  uint64_t begin = 0;
  uint64_t end = 0;
  const std::string* name = nullptr;
};

// kCorrupt, naming both tensors, if two ranges share a byte. Sorts `ranges` by position.
Result<void> check_disjoint(std::vector<NamedRange>& ranges, const std::string& file);

// Tensors by name, Hugging Face's naming.
using TensorTable = std::map<std::string, TensorView, std::less<>>;

}  // namespace hearth::engine
