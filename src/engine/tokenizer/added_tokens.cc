#include "engine/tokenizer/added_tokens.h"

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

std::vector<Trie::Entry> entries_of(const std::vector<AddedToken>& tokens) {
  std::vector<Trie::Entry> entries;
  for (size_t i = 0; i < tokens.size(); ++i) {
    entries.push_back({tokens[i].content, static_cast<int32_t>(i)});
  }
  return entries;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens)
    : tokens_(tokens), trie_(entries_of(tokens_)) {
  for (const AddedToken& token : tokens_) {
    if (!token.content.empty()) starts_[static_cast<unsigned char>(token.content[0])] = true;
  }
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text, size_t at,
                                               size_t& length) const {
  if (!starts_[static_cast<unsigned char>(text[at])]) return nullptr;
  const AddedToken* longest = nullptr;
  trie_.prefixes(text.substr(at), [&](int32_t index, size_t bytes) {
    longest = &tokens_[static_cast<size_t>(index)];
    length = bytes;
  });
  return longest;
}

void AddedTokenFinder::split(std::string_view text, std::vector<TextPart>& parts) const {
  size_t done = 0;
  size_t at = trie_.empty() ? text.size() : 0;
  while (at < text.size()) {
    size_t length = 0;
    const AddedToken* token = longest_at(text, at, length);
    if (token == nullptr) {
      ++at;
      continue;
    }
    size_t begin = at;
    size_t end = at + length;
    at = end;
    if (token->single_word &&
        (ends_with_word(text.substr(0, begin)) || starts_with_word(text.substr(end)))) {
      continue;
    }
    if (token->lstrip) begin -= trailing_space_bytes(text.substr(done, begin - done));
    if (token->rstrip) end += leading_space_bytes(text.substr(end));
    if (done < begin) parts.push_back({text.substr(done, begin - done)});
    parts.push_back({text.substr(begin, end - begin), token->id});
    at = done = end;
  }
  if (done < text.size()) parts.push_back({text.substr(done)});
}

}  // namespace hearth::engine
