#include "engine/tokenizer.h"

#include <algorithm>
#include <filesystem>

#include "engine/formats/gguf_parts.h"
#include "engine/formats/mapped_file.h"
#include "engine/tokenizer/tokenizer_gguf.h"
#include "engine/tokenizer/tokenizer_json.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

// Tokens to be found in text as written, or in normalised text.
std::vector<AddedToken> select(const TokenizerParts& parts, bool normalized) {
  std::vector<AddedToken> selected;
  for (AddedToken token : parts.added) {
    if (token.normalized != normalized) continue;
    if (normalized) token.content = parts.normalizer.normalize(token.content);
    selected.push_back(std::move(token));
  }
  return selected;
}

class LoadedTokenizer final : public Tokenizer {
 public:
  explicit LoadedTokenizer(TokenizerParts parts)
      : written_(select(parts, false)),
        normalized_(select(parts, true)),
        normalizer_(std::move(parts.normalizer)),
        pre_tokenizer_(std::move(parts.pre_tokenizer)),
        encoder_(std::move(parts.encoder)),
        decoder_(std::move(parts.decoder)),
        tokens_(std::move(parts.tokens)),
        verbatim_(std::move(parts.verbatim)),
        special_(tokens_.size()),
        prefix_(std::move(parts.prefix)),
        suffix_(std::move(parts.suffix)) {
    verbatim_.resize(tokens_.size());
    for (const AddedToken& token : parts.added) {
      added_ids_.emplace(token.content, token.id);
      if (token.special) special_[static_cast<size_t>(token.id)] = true;
    }
  }

  std::vector<int32_t> encode(std::string_view text, bool add_special) const override {
    std::string storage;
    std::vector<TextPart> parts;
    text = valid_utf8(text, storage);
    written_.split(text, parts);
    std::vector<int32_t> ids;
    if (add_special) ids = prefix_;
    for (const TextPart& part : parts) {
      const bool first = part.text.data() == text.data();
      if (part.id >= 0) {
        ids.push_back(part.id);
      } else if (normalizer_.changes_nothing()) {
        encode_normalized(part.text, first, ids);
      } else {
        encode_normalized(normalizer_.normalize(part.text), first, ids);
      }
    }
    if (add_special) ids.insert(ids.end(), suffix_.begin(), suffix_.end());
    return ids;
  }

  std::string bytes(int32_t id, bool skip_special) const override {
    return bytes_of(id, skip_special, false);
  }

  std::string first_bytes(int32_t id, bool skip_special) const override {
    return bytes_of(id, skip_special, true);
  }

  std::string decode(const std::vector<int32_t>& ids, bool skip_special) const override {
    std::string all;
    bool first = true;
    for (const int32_t id : ids) {
      if (id < 0 || id >= size() || (skip_special && is_special(id))) continue;
      all += bytes_of(id, skip_special, first);
      first = false;
    }
    std::string storage;
    return std::string(valid_utf8(all, storage));
  }

  std::optional<int32_t> id_of(std::string_view token) const override {
    const auto found = added_ids_.find(std::string(token));
    if (found == added_ids_.end()) return std::nullopt;
    return found->second;
  }

  bool is_special(int32_t id) const override {
    return id >= 0 && id < size() && special_[static_cast<size_t>(id)];
  }

  int size() const override { return static_cast<int>(tokens_.size()); }

  std::string_view kind() const override { return encoder_->kind(); }

 private:
  void encode_normalized(std::string_view text, bool first, std::vector<int32_t>& ids) const {
    std::vector<TextPart> parts;
    normalized_.split(text, parts);
    for (const TextPart& part : parts) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      pre_tokenizer_.split(part.text, first && part.text.data() == text.data(),
                           [&](std::string_view word) { encoder_->encode(word, ids); });
    }
  }

  std::string bytes_of(int32_t id, bool skip_special, bool first) const {
    if (id < 0 || id >= size() || (skip_special && is_special(id))) return {};
    const std::string& token = tokens_[static_cast<size_t>(id)];
    return verbatim_[static_cast<size_t>(id)] ? token : decoder_.bytes(token, first);
  }

  AddedTokenFinder written_;
  AddedTokenFinder normalized_;
  Normalizer normalizer_;
  PreTokenizer pre_tokenizer_;
  std::unique_ptr<const WordEncoder> encoder_;
  Decoder decoder_;
  std::vector<std::string> tokens_;  // by id
  std::vector<bool> verbatim_;       // by id
  std::vector<bool> special_;        // by id
  std::vector<int32_t> prefix_;
  std::vector<int32_t> suffix_;
  std::unordered_map<std::string, int32_t> added_ids_;
};

Result<TokenizerParts> read_parts(const MappedFile& file) {
  if (!file.text().starts_with("GGUF")) return parse_tokenizer_json(file.text(), file.path());
  HEARTH_TRY(const GgufParts parts, open_gguf_parts(file.path()));
  HEARTH_TRY(TokenizerParts tokenizer, read_tokenizer_gguf(parts.gguf));
  HEARTH_RETURN_IF_ERROR(check_special_ids(tokenizer, tokenizer.tokens.size(), file.path()));
  return tokenizer;
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> Tokenizer::load(const std::string& path) {
  std::error_code ignored;  // what cannot be looked at is opened as a file, which says why
  const bool directory = std::filesystem::is_directory(path, ignored);
  HEARTH_TRY(const MappedFile file, MappedFile::open(directory ? path + "/tokenizer.json" : path));
  HEARTH_TRY(TokenizerParts parts, read_parts(file));
  HEARTH_RETURN_IF_ERROR(file.check_intact());
  return std::unique_ptr<Tokenizer>(std::make_unique<LoadedTokenizer>(std::move(parts)));
}

}  // namespace hearth::engine
