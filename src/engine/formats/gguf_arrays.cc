// Arrays of metadata that only tokenizers have.
#include <cstring>

#include "engine/formats/gguf.h"

namespace hearth::engine {

Result<std::vector<float>> GgufFile::floats(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || !found->second.is_array ||
      found->second.type != GgufType::kFloat32) {
    return wrong(key, "an array of float32");
  }
  std::vector<float> floats(found->second.count);
  if (!floats.empty()) {
    std::memcpy(floats.data(), found->second.bytes.data(), floats.size() * sizeof(float));
  }
  return floats;
}

Result<std::string_view> GgufFile::byte_array(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || !found->second.is_array ||
      (found->second.type != GgufType::kUint8 && found->second.type != GgufType::kInt8)) {
    return wrong(key, "an array of bytes");
  }
  return std::string_view(reinterpret_cast<const char*>(found->second.bytes.data()),
                          found->second.count);
}

}  // namespace hearth::engine
