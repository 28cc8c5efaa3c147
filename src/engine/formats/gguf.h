// One GGUF file, versions 2 and 3, little endian:
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. docs/formats.md has the layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/formats/tensor_table.h"

namespace hearth::engine {

// As numbered in the file.
enum class GgufType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// A metadata value where it lies in the file, bounds-checked.
struct GgufValue {
  GgufType type = GgufType::kUint8;  // of the elements, if an array
  bool is_array = false;
  uint64_t count = 1;
  std::span<const std::byte> bytes;  // the encoded elements
};

// A parsed file. Values and tensors point into the bytes it was parsed from.
class GgufFile {
 public:
  // kCorrupt (with offset or key, and what was expected) unless counts, lengths, types, shapes and
  // offsets agree with each other and with the size of `bytes`; kUnsupported for another version,
  // byte order or nested arrays. `file` names it in errors. Memory used is a small multiple of the
  // header.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string file);

  const std::string& file() const { return file_; }
  const std::vector<FileTensor>& tensors() const { return tensors_; }
  // Adds the tensors of another part of the same model; whether names repeat is the caller's
  // business.
  void append_tensors(GgufFile&& part);

  bool has(std::string_view key) const { return values_.contains(key); }
  // Missing keys, values of another type or out of range, strings that are not UTF-8, and arrays of
  // more than 2^19 items are kCorrupt and name key and expectation; the *_or forms give the
  // fallback for a missing key.
  Result<int64_t> integer(std::string_view key, int64_t min, int64_t max) const;
  Result<int64_t> integer_or(std::string_view key, int64_t fallback, int64_t min,
                             int64_t max) const;
  Result<double> number(std::string_view key) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string_view> text(std::string_view key) const;
  Result<std::string_view> text_or(std::string_view key, std::string_view fallback) const;
  Result<std::vector<std::string_view>> texts(std::string_view key) const;
  Result<std::vector<int64_t>> integers(std::string_view key) const;
  // An array of float32; the elements of an array of bytes.
  Result<std::vector<float>> floats(std::string_view key) const;
  Result<std::string_view> byte_array(std::string_view key) const;

  Error wrong(std::string_view key, std::string_view expected) const;

 private:
  std::string file_;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<FileTensor> tensors_;
};

}  // namespace hearth::engine
