// JSON documents whose bulk is a few long lists, whose elements are read one by one and not kept.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/formats/json.h"

namespace hearth::engine {

// Of tokenizer.json: published files have up to 40 MB and two million values.
inline constexpr JsonLimits kTokenizerJsonLimits{.bytes_max = 128 << 20,
                                                 .values_max = 8'000'000,
                                                 .string_bytes_max = 1 << 20,
                                                 .gap_bytes_max = 64 << 10};

// Given an element of a list; `key` is null in arrays. An error ends the reading.
using ReadJsonElement =
    std::function<Result<void>(const std::string* key, const nlohmann::json& element)>;

// An array or object under `key` of the top object or, if `parent` is not empty, of the object
// that the top object has under `parent`.
struct JsonList {
  std::string_view parent;
  std::string_view key;
  ReadJsonElement read;  // called in the order of the file
};

// The document without the elements of `lists`, which are given to their readers. What is under a
// list's key and is neither array nor object is part of the document. kCorrupt with file and offset
// or key: the text is not JSON or past `limits`, a list occurs twice, an element has more than 64
// values or 64 KiB of text, the rest more than 20,000 values or 2 MiB of text. Apart from what the
// readers keep, 16 MiB of memory are enough.
Result<nlohmann::json> stream_json(std::string_view text, const std::string& file,
                                   const JsonLimits& limits, std::span<const JsonList> lists);

}  // namespace hearth::engine
