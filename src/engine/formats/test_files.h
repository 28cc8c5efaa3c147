// For tests: files made byte by byte, well-formed or not.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth::engine {

inline std::string golden(const std::string& path) {
  return std::string(HEARTH_SOURCE_DIR) + "/tests/golden/" + path;
}

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A folder of its own for one test, removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "hearth-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

  std::string write(const std::string& name, std::string_view content) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

 private:
  std::string path_;
};

template <class T>
std::string little_endian(T value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

// A .safetensors file: `header` as given, then `data`.
inline std::string safetensors(std::string_view header, std::string_view data) {
  return little_endian<uint64_t>(header.size()) + std::string(header) + std::string(data);
}

// A GGUF file; every count and field can be made wrong.
struct GgufBuilder {
  uint32_t version = 3;
  std::vector<std::string> values;   // encoded pairs
  std::vector<std::string> tensors;  // encoded entries
  std::string data;                  // of all tensors
  size_t alignment = 32;

  static std::string text(std::string_view content) {
    return little_endian<uint64_t>(content.size()) + std::string(content);
  }

  // A pair of key and encoded value of a type.
  void add(std::string_view key, uint32_t type, std::string_view encoded) {
    values.push_back(text(key) + little_endian(type) + std::string(encoded));
  }
  void add_text(std::string_view key, std::string_view content) { add(key, 8, text(content)); }
  void add_int(std::string_view key, uint32_t value) { add(key, 4, little_endian(value)); }
  void add_float(std::string_view key, float value) { add(key, 6, little_endian(value)); }
  void add_texts(std::string_view key, const std::vector<std::string>& contents) {
    std::string encoded = little_endian<uint32_t>(8) + little_endian<uint64_t>(contents.size());
    for (const std::string& content : contents) encoded += text(content);
    add(key, 9, encoded);
  }
  void add_ints(std::string_view key, const std::vector<int32_t>& numbers) {
    std::string encoded = little_endian<uint32_t>(5) + little_endian<uint64_t>(numbers.size());
    for (const int32_t number : numbers) encoded += little_endian(number);
    add(key, 9, encoded);
  }
  void add_floats(std::string_view key, const std::vector<float>& numbers) {
    std::string encoded = little_endian<uint32_t>(6) + little_endian<uint64_t>(numbers.size());
    for (const float number : numbers) encoded += little_endian(number);
    add(key, 9, encoded);
  }

  // An entry as written; `dimensions` fastest first.
  void add_entry(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type,
                 uint64_t offset) {
    std::string entry =
        text(name) + little_endian<uint32_t>(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t dimension : dimensions) entry += little_endian(dimension);
    tensors.push_back(entry + little_endian(type) + little_endian(offset));
  }
  // A tensor of zeros of `size` bytes after the ones before it.
  void add_tensor(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type,
                  size_t size) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    add_entry(name, dimensions, type, data.size());
    data.resize(data.size() + size);
  }

  std::string build() const { return build(tensors.size(), values.size()); }
  std::string build(uint64_t tensor_count, uint64_t value_count) const {
    std::string file =
        "GGUF" + little_endian(version) + little_endian(tensor_count) + little_endian(value_count);
    for (const std::string& value : values) file += value;
    for (const std::string& tensor : tensors) file += tensor;
    file.resize((file.size() + alignment - 1) / alignment * alignment);
    return file + data;
  }
};

// One layer of llama with matrices of one type, in rows of 32 numbers.
inline GgufBuilder tiny_llama(uint32_t type, size_t row_bytes, uint64_t vocab = 8) {
  constexpr uint64_t kHidden = 32;
  GgufBuilder builder;
  builder.add_text("general.architecture", "llama");
  for (const auto& [key, value] : std::vector<std::pair<std::string, uint32_t>>{
           {"block_count", 1},
           {"embedding_length", kHidden},
           {"feed_forward_length", 32},
           {"context_length", 64},
           {"attention.head_count", 2},
       }) {
    builder.add_int("llama." + key, value);
  }
  builder.add_float("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  const auto matrix = [&](const std::string& name, uint64_t rows) {
    builder.add_tensor(name, {kHidden, rows}, type, rows * row_bytes);
  };
  matrix("token_embd.weight", vocab);
  builder.add_tensor("output_norm.weight", {kHidden}, 0, kHidden * 4);
  for (const std::string name : {"attn_norm", "ffn_norm"}) {
    builder.add_tensor("blk.0." + name + ".weight", {kHidden}, 0, kHidden * 4);
  }
  for (const std::string name :
       {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"}) {
    matrix("blk.0." + name + ".weight", kHidden);
  }
  return builder;
}

}  // namespace hearth::engine
