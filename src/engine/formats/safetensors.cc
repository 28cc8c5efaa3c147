#include "engine/formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "engine/formats/encoding.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the reference implementation's limit
constexpr size_t kTensorsMax = 262'144;            // largest published files have some thousands
constexpr size_t kDimensionsMax = 8;

struct Dtype {
  std::string_view name;
  int bits;
  std::optional<Encoding> encoding;
};

constexpr std::array kDtypes = {
    Dtype{"F32", 32, Encoding::kF32},
    Dtype{"F16", 16, Encoding::kF16},
    Dtype{"BF16", 16, Encoding::kBF16},
    Dtype{"F64", 64, {}},
    Dtype{"I64", 64, {}},
    Dtype{"I32", 32, {}},
    Dtype{"I16", 16, {}},
    Dtype{"I8", 8, {}},
    Dtype{"U64", 64, {}},
    Dtype{"U32", 32, {}},
    Dtype{"U16", 16, {}},
    Dtype{"U8", 8, {}},
    Dtype{"BOOL", 8, {}},
    Dtype{"F8_E4M3", 8, {}},
    Dtype{"F8_E5M2", 8, {}},
    Dtype{"F8_E8M0", 8, {}},
    Dtype{"F6_E2M3", 6, {}},
    Dtype{"F6_E3M2", 6, {}},
    Dtype{"F4", 4, {}},
    Dtype{"C64", 64, {}},
};

// One entry of the header as written.
struct Entry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::array<int64_t, 2> offsets{};
  uint8_t offsets_given = 0;
  bool has_shape = false;
  bool has_offsets = false;
};

// The bytes of the data section that `entry` claims, checked against the section and the shape.
Result<FileTensor> place(Entry&& entry, std::span<const std::byte> data, const std::string& file) {
  const std::string where = file + ": tensor " + entry.name + ": ";
  const auto dtype = std::find_if(kDtypes.begin(), kDtypes.end(),
                                  [&](const Dtype& d) { return d.name == entry.dtype; });
  if (entry.dtype.empty() || !entry.has_shape || !entry.has_offsets) {
    return Error(Code::kCorrupt, where + "expected dtype, shape and data_offsets");
  }
  if (dtype == kDtypes.end()) {
    return Error(Code::kUnsupported, where + "dtype " + entry.dtype);
  }
  const auto count = element_count(entry.shape);
  const auto bits = count ? blocks_to_bytes(*count, 1, dtype->bits) : std::nullopt;
  if (!bits || *bits % 8 != 0) {
    return Error(Code::kCorrupt, where + "a shape that does not fill whole bytes or is too large");
  }
  const auto& at = entry.offsets;
  if (entry.offsets_given != 2 || at[0] > at[1] || at[1] > static_cast<int64_t>(data.size())) {
    return Error(Code::kCorrupt, where + "expected data_offsets [begin, end] within the " +
                                     std::to_string(data.size()) + " bytes of data");
  }
  if (at[1] - at[0] != *bits / 8) {
    return Error(Code::kCorrupt, where + "data_offsets span " + std::to_string(at[1] - at[0]) +
                                     " bytes, expected " + std::to_string(*bits / 8) +
                                     " for its shape");
  }
  return FileTensor{
      .name = std::move(entry.name),
      .type = std::move(entry.dtype),
      .encoding = dtype->encoding,
      .shape = std::move(entry.shape),
      .bytes = data.subspan(static_cast<size_t>(at[0]), static_cast<size_t>(at[1] - at[0]))};
}

// Reads the header as it is parsed, so that nothing but tensors is ever built: a header of any
// other shape stops at its first wrong value. Levels: 1 the header, 2 one tensor or __metadata__, 3
// an array.
class HeaderReader final : public json::json_sax_t {
 public:
  // `data` is the section that the tensors lie in; both must outlive this.
  HeaderReader(std::span<const std::byte> data, const std::string& file)
      : data_(data), file_(file) {}

  std::vector<FileTensor> tensors;
  std::optional<Error> error;  // set when parsing stopped

  bool start_object(std::size_t) override {
    if (level_ == 1 && !in_metadata_) entry_ = {.name = key_};
    if (tensors.size() == kTensorsMax) {
      return fail("more than " + std::to_string(kTensorsMax) + " tensors");
    }
    if (level_ >= 2) return fail("unexpected object");
    ++level_;
    return true;
  }

  bool end_object() override {
    if (--level_ != 1 || std::exchange(in_metadata_, false)) return true;
    Result<FileTensor> tensor = place(std::move(entry_), data_, file_);
    if (tensor.ok()) {
      tensors.push_back(std::move(*tensor));
    } else {
      error = tensor.error();
    }
    return tensor.ok();
  }

  bool key(std::string& name) override {
    key_ = std::move(name);
    if (level_ == 1) in_metadata_ = key_ == "__metadata__";
    return true;
  }

  bool start_array(std::size_t) override {
    if (level_ != 2 || in_metadata_) return fail("unexpected array");
    if (key_ == "shape" && !entry_.has_shape) {
      entry_.has_shape = true;
      in_shape_ = true;
    } else if (key_ == "data_offsets" && !entry_.has_offsets) {
      entry_.has_offsets = true;
      in_shape_ = false;
    } else {
      return fail("unexpected array");
    }
    ++level_;
    return true;
  }

  bool end_array() override {
    --level_;
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (level_ != 3) return fail("unexpected number");
    if (value > INT64_MAX) return fail("number too large");
    const auto number = static_cast<int64_t>(value);
    if (in_shape_) {
      if (entry_.shape.size() >= kDimensionsMax) return fail("more than 8 numbers");
      entry_.shape.push_back(number);
    } else {
      if (entry_.offsets_given == 2) return fail("more than 2 numbers");
      entry_.offsets[entry_.offsets_given++] = number;
    }
    return true;
  }

  bool string(std::string& value) override {
    if (level_ == 2 && in_metadata_) return true;
    if (level_ != 2 || key_ != "dtype" || !entry_.dtype.empty()) return fail("unexpected string");
    entry_.dtype = std::move(value);
    return true;
  }

  bool number_integer(int64_t) override { return fail("negative number"); }
  bool number_float(double, const std::string&) override { return fail("not a whole number"); }
  bool null() override { return fail("unexpected null"); }
  bool boolean(bool) override { return fail("unexpected true or false"); }
  bool binary(json::binary_t&) override { return fail("unexpected bytes"); }

  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    error = Error(Code::kCorrupt,
                  file_ + ": byte " + std::to_string(8 + position) + ": the header is not JSON");
    return false;
  }

 private:
  bool fail(const std::string& what) {
    const std::string of = entry_.name.empty() ? "" : " of tensor " + entry_.name;
    error = Error(Code::kCorrupt, file_ + ": header key " + key_ + of + ": " + what);
    return false;
  }

  std::span<const std::byte> data_;
  const std::string& file_;
  Entry entry_;  // the tensor that is being read
  int level_ = 0;
  bool in_metadata_ = false;
  std::string key_;
  bool in_shape_ = false;  // the array is the shape, not the offsets
};

// Every byte of `data` in exactly one tensor, every name once.
Result<void> check_cover(const std::vector<FileTensor>& tensors, std::span<const std::byte> data,
                         const std::string& file) {
  std::vector<NamedRange> ranges;
  std::vector<const std::string*> names;
  uint64_t covered = 0;
  for (const FileTensor& tensor : tensors) {
    const auto begin = static_cast<uint64_t>(tensor.bytes.data() - data.data());
    ranges.push_back({begin, begin + tensor.bytes.size(), &tensor.name});
    names.push_back(&tensor.name);
    covered += tensor.bytes.size();
  }
  HEARTH_RETURN_IF_ERROR(check_disjoint(ranges, file));
  if (covered != data.size()) {
    return Error(Code::kCorrupt, file + ": tensors cover " + std::to_string(covered) +
                                     " bytes, expected all " + std::to_string(data.size()) +
                                     " bytes of data");
  }
  std::sort(names.begin(), names.end(), [](const auto* a, const auto* b) { return *a < *b; });
  const auto twice = std::adjacent_find(names.begin(), names.end(),
                                        [](const auto* a, const auto* b) { return *a == *b; });
  if (twice != names.end()) {
    return Error(Code::kCorrupt, file + ": tensor " + **twice + " occurs twice");
  }
  return {};
}

}  // namespace

Result<std::vector<FileTensor>> parse_safetensors(std::span<const std::byte> bytes,
                                                  const std::string& file) {
  uint64_t header_bytes = 0;  // little endian, as every machine Hearth runs on
  if (bytes.size() < sizeof(header_bytes)) {
    return Error(Code::kCorrupt, file + ": " + std::to_string(bytes.size()) +
                                     " bytes, expected at least 8 of header length");
  }
  std::memcpy(&header_bytes, bytes.data(), sizeof(header_bytes));
  if (header_bytes > std::min<uint64_t>(kHeaderBytesMax, bytes.size() - 8)) {
    return Error(Code::kCorrupt, file + ": byte 0: header of " + std::to_string(header_bytes) +
                                     " bytes in a file of " + std::to_string(bytes.size()));
  }
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + 8, header_bytes);
  if (!header.starts_with('{')) {
    return Error(Code::kCorrupt, file + ": byte 8: expected a JSON object");
  }
  const std::span<const std::byte> data = bytes.subspan(8 + header_bytes);
  HeaderReader reader(data, file);
  if (!json::sax_parse(header, &reader)) return *reader.error;
  std::vector<FileTensor> tensors = std::move(reader.tensors);
  HEARTH_RETURN_IF_ERROR(check_cover(tensors, data, file));
  return tensors;
}

}  // namespace hearth::engine
