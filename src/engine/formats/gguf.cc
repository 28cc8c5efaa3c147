#include "engine/formats/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <iterator>
#include <optional>

#include "engine/formats/encoding.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

constexpr uint64_t kValuesMax = 65'536;    // metadata pairs
constexpr uint64_t kTensorsMax = 262'144;  // largest published files have some thousands
constexpr uint64_t kNameBytesMax = 65'535;
constexpr uint64_t kAlignmentMax = 1 << 20;
constexpr uint64_t kItemsMax = 1 << 19;  // of an array that is read; published files have 514906

struct TensorType {
  uint32_t id;
  std::string_view name;
  int elements;  // per block
  int bytes;     // per block
  std::optional<Encoding> encoding;
};

// Every type with a number in ggml.h that files may hold; those without an encoding are only
// measured.
constexpr std::array kTensorTypes = {
    TensorType{0, "F32", 1, 4, Encoding::kF32},
    TensorType{1, "F16", 1, 2, Encoding::kF16},
    TensorType{2, "Q4_0", 32, 18, Encoding::kQ4_0},
    TensorType{3, "Q4_1", 32, 20, Encoding::kQ4_1},
    TensorType{6, "Q5_0", 32, 22, Encoding::kQ5_0},
    TensorType{7, "Q5_1", 32, 24, Encoding::kQ5_1},
    TensorType{8, "Q8_0", 32, 34, Encoding::kQ8_0},
    TensorType{9, "Q8_1", 32, 36, {}},
    TensorType{10, "Q2_K", 256, 84, Encoding::kQ2_K},
    TensorType{11, "Q3_K", 256, 110, Encoding::kQ3_K},
    TensorType{12, "Q4_K", 256, 144, Encoding::kQ4_K},
    TensorType{13, "Q5_K", 256, 176, Encoding::kQ5_K},
    TensorType{14, "Q6_K", 256, 210, Encoding::kQ6_K},
    TensorType{15, "Q8_K", 256, 292, {}},
    TensorType{16, "IQ2_XXS", 256, 66, {}},
    TensorType{17, "IQ2_XS", 256, 74, {}},
    TensorType{18, "IQ3_XXS", 256, 98, {}},
    TensorType{19, "IQ1_S", 256, 50, {}},
    TensorType{20, "IQ4_NL", 32, 18, Encoding::kIQ4_NL},
    TensorType{21, "IQ3_S", 256, 110, {}},
    TensorType{22, "IQ2_S", 256, 82, {}},
    TensorType{23, "IQ4_XS", 256, 136, Encoding::kIQ4_XS},
    TensorType{24, "I8", 1, 1, {}},
    TensorType{25, "I16", 1, 2, {}},
    TensorType{26, "I32", 1, 4, {}},
    TensorType{27, "I64", 1, 8, {}},
    TensorType{28, "F64", 1, 8, {}},
    TensorType{29, "IQ1_M", 256, 56, {}},
    TensorType{30, "BF16", 1, 2, Encoding::kBF16},
    TensorType{34, "TQ1_0", 256, 54, {}},
    TensorType{35, "TQ2_0", 256, 66, {}},
    TensorType{39, "MXFP4", 32, 17, Encoding::kMXFP4},
};

// Bytes of one value; 0 for strings and arrays, whose size is in the file.
uint64_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::kUint8:
    case GgufType::kInt8:
    case GgufType::kBool:
      return 1;
    case GgufType::kUint16:
    case GgufType::kInt16:
      return 2;
    case GgufType::kUint32:
    case GgufType::kInt32:
    case GgufType::kFloat32:
      return 4;
    case GgufType::kUint64:
    case GgufType::kInt64:
    case GgufType::kFloat64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      return 0;
  }
  return 0;
}

// Host and file are both little endian.
template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Walks the header; every read is checked against the end of the file.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }

  Error corrupt(uint64_t position, std::string_view what) const {
    return Error(Code::kCorrupt, fmt::format("{}: byte {}: {}", file_, position, what));
  }
  Error unsupported(std::string_view what) const {
    return Error(Code::kUnsupported, fmt::format("{}: byte {}: {}", file_, position_, what));
  }

  template <class T>
  Result<T> read(std::string_view what) {
    HEARTH_TRY(const auto bytes, take(sizeof(T), what));
    return load<T>(bytes.data());
  }

  Result<std::span<const std::byte>> take(uint64_t count, std::string_view what) {
    if (count > remaining()) {
      return corrupt(position_, fmt::format("{} of {} bytes, but the file ends after {} more", what,
                                            count, remaining()));
    }
    position_ += count;
    return bytes_.subspan(position_ - count, count);
  }

  // A name: UTF-8 of a sensible length, so that messages may quote it.
  Result<std::string_view> name(std::string_view what) {
    const uint64_t at = position_;
    HEARTH_TRY(const std::string_view name, text(what));
    if (name.empty() || name.size() > kNameBytesMax || !is_valid_utf8(name)) {
      return corrupt(at, fmt::format("{} of {} bytes, expected 1 to {} bytes of UTF-8", what,
                                     name.size(), kNameBytesMax));
    }
    return name;
  }

  // REQUIRES: the result's use stops before the file is unmapped.
  Result<std::string_view> text(std::string_view what) {
    HEARTH_TRY(const uint64_t length, read<uint64_t>(what));
    HEARTH_TRY(const auto bytes, take(length, what));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }

  // A number of entries of at least `entry_bytes` each that the rest of the file can hold.
  Result<uint64_t> count(std::string_view what, uint64_t entry_bytes, uint64_t max) {
    const uint64_t at = position_;
    HEARTH_TRY(const uint64_t count, read<uint64_t>(what));
    const uint64_t room = remaining() / entry_bytes;
    if (count > std::min(room, max)) {
      return corrupt(
          at, fmt::format("{} is {}, expected at most {}", what, count, std::min(room, max)));
    }
    return count;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t position_ = 0;
};

Result<GgufType> read_type(Cursor& cursor) {
  const uint64_t at = cursor.position();
  HEARTH_TRY(const uint32_t type, cursor.read<uint32_t>("value type"));
  if (type > static_cast<uint32_t>(GgufType::kFloat64)) {
    return cursor.corrupt(at, fmt::format("value type {}, expected 0 to 12", type));
  }
  return static_cast<GgufType>(type);
}

Result<GgufValue> read_value(Cursor& cursor) {
  GgufValue value;
  HEARTH_TRY(value.type, read_type(cursor));
  if (value.type == GgufType::kArray) {
    value.is_array = true;
    HEARTH_TRY(value.type, read_type(cursor));
    if (value.type == GgufType::kArray) return cursor.unsupported("array of arrays");
    // A string is at least its length.
    const uint64_t element =
        value.type == GgufType::kString ? sizeof(uint64_t) : scalar_bytes(value.type);
    HEARTH_TRY(value.count, cursor.count("array length", element, UINT64_MAX));
  }
  if (value.type != GgufType::kString) {
    HEARTH_TRY(value.bytes, cursor.take(value.count * scalar_bytes(value.type), "value"));
    return value;
  }
  Cursor start = cursor;
  for (uint64_t i = 0; i < value.count; ++i) {
    HEARTH_RETURN_IF_ERROR(cursor.text("string"));
  }
  HEARTH_TRY(value.bytes, start.take(cursor.position() - start.position(), "strings"));
  return value;
}

// Where one tensor's entry says that its bytes are; they are found once the data section's start is
// known.
struct Place {
  uint64_t entry_position = 0;
  uint64_t offset = 0;  // from the start of the data section
  uint64_t bytes = 0;   // 0 if the type's size is not known
};

// Reads one entry: all of `tensor` but its bytes.
Result<Place> read_tensor(Cursor& cursor, FileTensor& tensor) {
  Place place{.entry_position = cursor.position()};
  const auto corrupt = [&](std::string_view what) {
    return cursor.corrupt(place.entry_position, fmt::format("tensor {}: {}", tensor.name, what));
  };
  HEARTH_TRY(tensor.name, cursor.name("tensor name"));
  HEARTH_TRY(const uint32_t dimensions, cursor.read<uint32_t>("number of dimensions"));
  if (dimensions > 4) return corrupt(fmt::format("{} dimensions, expected 0 to 4", dimensions));
  for (uint32_t i = 0; i < dimensions; ++i) {
    HEARTH_TRY(const uint64_t size, cursor.read<uint64_t>("dimension"));
    if (size > INT64_MAX) return corrupt("a dimension above 2^63");
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(size));
  }
  HEARTH_TRY(const uint32_t type, cursor.read<uint32_t>("tensor type"));
  HEARTH_TRY(place.offset, cursor.read<uint64_t>("tensor offset"));
  const auto elements = element_count(tensor.shape);
  if (!elements) return corrupt("more than 2^63 elements");
  const auto known = std::find_if(kTensorTypes.begin(), kTensorTypes.end(),
                                  [&](const TensorType& t) { return t.id == type; });
  if (known == kTensorTypes.end()) {
    tensor.type = fmt::format("number {}", type);
    return place;
  }
  tensor.type = known->name;
  tensor.encoding = known->encoding;
  const int64_t columns = tensor.shape.empty() ? 1 : tensor.shape.back();
  const auto bytes = blocks_to_bytes(*elements, known->elements, known->bytes);
  if (columns % known->elements != 0 || !bytes) {
    return corrupt(fmt::format("rows of {} elements do not fill {} blocks", columns, known->name));
  }
  place.bytes = static_cast<uint64_t>(*bytes);
  return place;
}

// Gives every tensor its bytes of the data section.
Result<void> place_tensors(const std::vector<Place>& places, std::span<const std::byte> data,
                           uint64_t alignment, const Cursor& cursor, const std::string& file,
                           std::vector<FileTensor>& tensors) {
  std::vector<NamedRange> ranges;
  ranges.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto& [entry_position, offset, bytes] = places[i];
    const bool inside = offset <= data.size() && bytes <= data.size() - offset;
    if (!inside || offset % alignment != 0) {
      return cursor.corrupt(
          entry_position,
          fmt::format("tensor {}: {} bytes at offset {}, expected a multiple of {} and an end "
                      "within the {} bytes of data",
                      tensors[i].name, bytes, offset, alignment, data.size()));
    }
    tensors[i].bytes = data.subspan(offset, bytes);
    ranges.push_back({offset, offset + bytes, &tensors[i].name});
  }
  HEARTH_RETURN_IF_ERROR(check_disjoint(ranges, file));
  std::sort(ranges.begin(), ranges.end(),
            [](const NamedRange& a, const NamedRange& b) { return *a.name < *b.name; });
  const auto twice = std::adjacent_find(
      ranges.begin(), ranges.end(),
      [](const NamedRange& a, const NamedRange& b) { return *a.name == *b.name; });
  if (twice != ranges.end()) {
    return Error(Code::kCorrupt, fmt::format("{}: tensor {} occurs twice", file, *twice->name));
  }
  return {};
}

Result<void> check_start(Cursor& cursor) {
  HEARTH_TRY(const auto magic, cursor.take(4, "magic"));
  if (std::memcmp(magic.data(), "GGUF", 4) != 0) {
    return cursor.corrupt(0, "expected the letters GGUF");
  }
  HEARTH_TRY(const uint32_t version, cursor.read<uint32_t>("version"));
  if (version != 2 && version != 3) {
    const bool swapped = (version & 0xffff) == 0 && version != 0;
    return cursor.unsupported(swapped ? std::string("big-endian file")
                                      : fmt::format("GGUF version {} (known: 2, 3)", version));
  }
  return {};
}

}  // namespace

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string file) {
  GgufFile result;
  result.file_ = std::move(file);
  Cursor cursor(bytes, result.file_);
  HEARTH_RETURN_IF_ERROR(check_start(cursor));
  // A tensor's entry: name length, dimensions, type, offset. A pair: key length, type, one byte.
  HEARTH_TRY(const uint64_t tensor_count, cursor.count("tensor count", 24, kTensorsMax));
  HEARTH_TRY(const uint64_t value_count, cursor.count("metadata count", 13, kValuesMax));
  for (uint64_t i = 0; i < value_count; ++i) {
    const uint64_t at = cursor.position();
    HEARTH_TRY(const std::string_view key, cursor.name("key"));
    Result<GgufValue> value = read_value(cursor);
    if (!value.ok()) return value.error().context("key " + std::string(key));
    if (!result.values_.emplace(key, *value).second) {
      return cursor.corrupt(at, fmt::format("key {} occurs twice", key));
    }
  }
  std::vector<Place> places(tensor_count);
  result.tensors_.resize(tensor_count);
  for (uint64_t i = 0; i < tensor_count; ++i) {
    HEARTH_TRY(places[i], read_tensor(cursor, result.tensors_[i]));
  }
  HEARTH_TRY(const int64_t alignment, result.integer_or("general.alignment", 32, 1, kAlignmentMax));
  if ((alignment & (alignment - 1)) != 0) {
    return result.wrong("general.alignment", "a power of two");
  }
  const uint64_t unit = static_cast<uint64_t>(alignment);
  const uint64_t data_begin =
      std::min<uint64_t>((cursor.position() + unit - 1) / unit * unit, bytes.size());
  HEARTH_RETURN_IF_ERROR(place_tensors(places, bytes.subspan(data_begin), unit, cursor,
                                       result.file_, result.tensors_));
  return result;
}

void GgufFile::append_tensors(GgufFile&& part) {
  std::move(part.tensors_.begin(), part.tensors_.end(), std::back_inserter(tensors_));
}

Error GgufFile::wrong(std::string_view key, std::string_view expected) const {
  return Error(Code::kCorrupt, fmt::format("{}: key {}: expected {}", file_, key, expected));
}

namespace {

std::string too_many(uint64_t count) {
  return fmt::format("at most {} items, not {}", kItemsMax, count);
}

// An integer of any width; nothing for other types and values above INT64_MAX.
std::optional<int64_t> integer_at(GgufType type, const std::byte* at) {
  switch (type) {
    case GgufType::kUint8:
      return load<uint8_t>(at);
    case GgufType::kInt8:
      return load<int8_t>(at);
    case GgufType::kUint16:
      return load<uint16_t>(at);
    case GgufType::kInt16:
      return load<int16_t>(at);
    case GgufType::kUint32:
      return load<uint32_t>(at);
    case GgufType::kInt32:
      return load<int32_t>(at);
    case GgufType::kInt64:
      return load<int64_t>(at);
    case GgufType::kUint64: {
      const uint64_t value = load<uint64_t>(at);
      if (value > INT64_MAX) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<int64_t> GgufFile::integer(std::string_view key, int64_t min, int64_t max) const {
  const auto found = values_.find(key);
  std::optional<int64_t> value;
  if (found != values_.end() && !found->second.is_array) {
    value = integer_at(found->second.type, found->second.bytes.data());
  }
  if (!value || *value < min || *value > max) {
    return wrong(key, fmt::format("an integer from {} to {}", min, max));
  }
  return *value;
}

Result<int64_t> GgufFile::integer_or(std::string_view key, int64_t fallback, int64_t min,
                                     int64_t max) const {
  return has(key) ? integer(key, min, max) : Result<int64_t>(fallback);
}

Result<double> GgufFile::number(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.is_array) return wrong(key, "a number");
  const GgufValue& value = found->second;
  double number = NAN;
  if (value.type == GgufType::kFloat32) {
    number = load<float>(value.bytes.data());
  } else if (value.type == GgufType::kFloat64) {
    number = load<double>(value.bytes.data());
  } else if (const auto integer = integer_at(value.type, value.bytes.data())) {
    number = static_cast<double>(*integer);
  }
  if (!std::isfinite(number)) return wrong(key, "a number");
  return number;
}

Result<double> GgufFile::number_or(std::string_view key, double fallback) const {
  return has(key) ? number(key) : Result<double>(fallback);
}

Result<bool> GgufFile::boolean_or(std::string_view key, bool fallback) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return fallback;
  if (found->second.is_array || found->second.type != GgufType::kBool) {
    return wrong(key, "true or false");
  }
  return found->second.bytes[0] != std::byte{0};
}

Result<std::string_view> GgufFile::text(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.is_array || found->second.type != GgufType::kString) {
    return wrong(key, "a string");
  }
  const std::span<const std::byte> bytes = found->second.bytes.subspan(sizeof(uint64_t));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!is_valid_utf8(text)) return wrong(key, "UTF-8");
  return text;
}

Result<std::string_view> GgufFile::text_or(std::string_view key, std::string_view fallback) const {
  return has(key) ? text(key) : Result<std::string_view>(fallback);
}

Result<std::vector<std::string_view>> GgufFile::texts(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || !found->second.is_array ||
      found->second.type != GgufType::kString) {
    return wrong(key, "an array of strings");
  }
  if (found->second.count > kItemsMax) return wrong(key, too_many(found->second.count));
  Cursor cursor(found->second.bytes, file_);
  std::vector<std::string_view> texts;
  texts.reserve(found->second.count);
  for (uint64_t i = 0; i < found->second.count; ++i) {
    HEARTH_TRY(const std::string_view text, cursor.text("string"));
    if (!is_valid_utf8(text)) return wrong(key, "UTF-8");
    texts.push_back(text);
  }
  return texts;
}

Result<std::vector<int64_t>> GgufFile::integers(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end() || !found->second.is_array) return wrong(key, "an array of integers");
  const GgufValue& array = found->second;
  if (array.count > kItemsMax) return wrong(key, too_many(array.count));
  const uint64_t width = scalar_bytes(array.type);
  std::vector<int64_t> integers;
  integers.reserve(array.count);
  for (uint64_t i = 0; i < array.count; ++i) {
    const auto value = integer_at(array.type, array.bytes.data() + i * width);
    if (!value) return wrong(key, "an array of integers");
    integers.push_back(*value);
  }
  return integers;
}

}  // namespace hearth::engine
