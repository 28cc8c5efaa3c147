// The readers of the parts of tokenizer.json. Each names the component and what it cannot do:
// kUnsupported for kinds and options that Hearth does not have, kCorrupt for what is no such file.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/formats/json.h"
#include "engine/tokenizer/bpe.h"
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

// The lists of a model, kept in 64 bytes for each token or merge at most while the file may still
// be refused.
class ModelLists {
 public:
  static constexpr size_t kMergesMax = 1 << 20;  // published files have some 500,000

  explicit ModelLists(const std::string& file) : vocabulary(file), where_(file + ": model") {}

  // An element of vocab, and of merges: ReadJsonElement. Merges come after all tokens.
  Result<void> add_token(const std::string* key, const nlohmann::json& element);
  Result<void> add_merge(const std::string* key, const nlohmann::json& element);

  Vocabulary vocabulary;
  std::vector<BpeMerge> merges;
  std::vector<double> scores;  // of Unigram, by id

 private:
  std::string where_;
};

// What else a model says.
struct ModelOptions {
  bool unigram = false;     // else BPE
  bool byte_level = false;  // from here on of BPE: words are in the byte alphabet
  bool ignore_merges = false;
  bool fuse_unknown = false;
  bool byte_fallback = false;  // of both
  int32_t unknown_id = -1;
};

Result<ModelOptions> read_model(const JsonObject& root, bool byte_level, const ModelLists& lists);
// `tokens`: those of the model, by id.
std::unique_ptr<const WordEncoder> build_model(const ModelOptions& options, ModelLists lists,
                                               const std::vector<std::string>& tokens);

Error unsupported(const JsonObject& object, std::string_view what);

// Calls `read` with each component under `key`, and its type: those of a Sequence (in its `list`)
// in order, else itself; none for null.
using ReadComponent = std::function<Result<void>(const JsonObject&, const std::string& type)>;
Result<void> for_each_component(const JsonObject& root, std::string_view key, std::string_view list,
                                const ReadComponent& read);

// The value of `key`: exactly one character.
Result<std::string> read_character(const JsonObject& object, std::string_view key);

}  // namespace hearth::engine
