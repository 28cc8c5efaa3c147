// The pre-tokenizer patterns of model families, by the names GGUF files use (tokenizer.ggml.pre).
// Sources: the tokenizer.json of each family; names and families as in
// https://github.com/ggml-org/llama.cpp/blob/master/src/llama-vocab.cpp.
#pragma once

#include <string_view>
#include <vector>

namespace hearth::engine::patterns {

// GPT-2's words, also what ByteLevel with use_regex means.
inline constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct Family {
  std::string_view name;                   // of tokenizer.ggml.pre
  std::vector<std::string_view> patterns;  // one Isolated split after the other
  bool ignore_merges = false;
  bool add_bos = false;  // unless the file says otherwise
  bool nfc = false;
};

// Null for a name that is not known.
const Family* family_of(std::string_view name);

}  // namespace hearth::engine::patterns
