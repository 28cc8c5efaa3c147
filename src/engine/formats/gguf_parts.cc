#include "engine/formats/gguf_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace hearth::engine {
namespace {

constexpr int64_t kPartsMax = 65'535;  // split.count has 16 bits
constexpr int64_t kTensorsMax = INT32_MAX;

// What the keys of one part say.
struct Split {
  int64_t number = 0;   // from 0
  int64_t count = 1;    // of parts
  int64_t tensors = 0;  // of all parts
};

Result<Split> split_of(const GgufFile& gguf) {
  Split split;
  HEARTH_TRY(split.count, gguf.integer_or("split.count", 1, 0, kPartsMax));
  if (split.count <= 1) return Split{};
  HEARTH_TRY(split.number, gguf.integer("split.no", 0, split.count - 1));
  HEARTH_TRY(split.tensors, gguf.integer("split.tensors.count", 0, kTensorsMax));
  return split;
}

// "-00001-of-00003.gguf"
std::string ending(int64_t number, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", number + 1, count);
}

// Opens and checks part `number` of the model that `expected` describes.
Result<GgufFile> open_part(const std::string& path, int64_t number, const Split& expected,
                           std::vector<MappedFile>& files) {
  HEARTH_TRY(MappedFile file, MappedFile::open(path));
  HEARTH_TRY(GgufFile gguf, GgufFile::parse(file.bytes(), path));
  HEARTH_TRY(const Split split, split_of(gguf));
  if (split.number != number || split.count != expected.count ||
      split.tensors != expected.tensors) {
    return Error(
        Code::kCorrupt,
        fmt::format("{}: part {} of {} of a model with {} tensors, expected part {} of {} of "
                    "one with {}",
                    path, split.number + 1, split.count, split.tensors, number + 1, expected.count,
                    expected.tensors));
  }
  files.push_back(std::move(file));
  return gguf;
}

Result<void> check_tensors_of_parts(const GgufFile& gguf, const Split& split) {
  std::set<std::string_view> names;
  for (const FileTensor& tensor : gguf.tensors()) {
    if (!names.insert(tensor.name).second) {
      return Error(Code::kCorrupt,
                   fmt::format("{}: tensor {} occurs in two parts", gguf.file(), tensor.name));
    }
  }
  if (static_cast<int64_t>(names.size()) != split.tensors) {
    return gguf.wrong("split.tensors.count",
                      fmt::format("the {} tensors that the parts hold", names.size()));
  }
  return {};
}

}  // namespace

Result<GgufParts> open_gguf_parts(const std::string& path) {
  GgufParts parts;
  HEARTH_TRY(MappedFile file, MappedFile::open(path));
  HEARTH_TRY(GgufFile named, GgufFile::parse(file.bytes(), path));
  HEARTH_TRY(const Split split, split_of(named));
  if (split.count == 1) {
    parts.files.push_back(std::move(file));
    parts.gguf = std::move(named);
    return parts;
  }
  const std::string own_ending = ending(split.number, split.count);
  if (!path.ends_with(own_ending)) {
    return Error(Code::kCorrupt,
                 fmt::format("{}: part {} of {} of a model, expected a name that ends in {}", path,
                             split.number + 1, split.count, own_ending));
  }
  const std::string prefix = path.substr(0, path.size() - own_ending.size());
  for (int64_t number = 0; number < split.count; ++number) {
    const std::string name = prefix + ending(number, split.count);
    HEARTH_TRY(GgufFile part, open_part(name, number, split, parts.files));
    if (number == 0) {
      parts.gguf = std::move(part);
    } else {
      parts.gguf.append_tensors(std::move(part));
    }
  }
  HEARTH_RETURN_IF_ERROR(check_tensors_of_parts(parts.gguf, split));
  return parts;
}

}  // namespace hearth::engine
