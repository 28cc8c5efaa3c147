// The readers of the parts of tokenizer.json. Each names the component and what it cannot do:
// kUnsupported for kinds and options that Hearth does not have, kCorrupt for what is no such file.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/formats/json.h"
#include "engine/tokenizer/tokenizer_parts.h"
#include "engine/tokenizer/vocabulary.h"

namespace hearth::engine {

struct PreTokenizerOfFile {
  PreTokenizer pre_tokenizer;
  bool byte_level = false;  // words are given to the model in the byte alphabet
};

Result<Normalizer> read_normalizer(const JsonObject& root);
Result<PreTokenizerOfFile> read_pre_tokenizer(const JsonObject& root);
Result<Decoder> read_decoder(const JsonObject& root);
// Sets prefix and suffix.
Result<void> read_post_processor(const JsonObject& root, TokenizerParts& parts);
// Adds the model's tokens to `vocabulary`.
Result<std::unique_ptr<const WordEncoder>> read_model(const JsonObject& root, bool byte_level,
                                                      Vocabulary& vocabulary);

Error unsupported(const JsonObject& object, std::string_view what);

// Calls `read` with each component under `key`, and its type: those of a Sequence (in its `list`)
// in order, else itself; none for null.
using ReadComponent = std::function<Result<void>(const JsonObject&, const std::string& type)>;
Result<void> for_each_component(const JsonObject& root, std::string_view key, std::string_view list,
                                const ReadComponent& read);

// The value of `key`: exactly one character.
Result<std::string> read_character(const JsonObject& object, std::string_view key);

}  // namespace hearth::engine
