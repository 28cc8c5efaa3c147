#include "engine/tokenizer/added_tokens.h"

#include <algorithm>

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

uint64_t edge(uint32_t node, char byte) {
  return uint64_t{node} << 8 | static_cast<unsigned char>(byte);
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(const std::vector<AddedToken>& tokens)
    : tokens_(tokens), token_at_{-1} {
  for (size_t i = 0; i < tokens_.size(); ++i) {
    if (tokens_[i].content.empty()) continue;
    starts_[static_cast<unsigned char>(tokens_[i].content[0])] = true;
    uint32_t node = 0;
    for (const char byte : tokens_[i].content) {
      const auto [child, added] =
          children_.emplace(edge(node, byte), static_cast<uint32_t>(token_at_.size()));
      if (added) token_at_.push_back(-1);
      node = child->second;
    }
    token_at_[node] = static_cast<int32_t>(i);
  }
}

const AddedToken* AddedTokenFinder::longest_at(std::string_view text, size_t at,
                                               size_t& length) const {
  if (!starts_[static_cast<unsigned char>(text[at])]) return nullptr;
  const AddedToken* longest = nullptr;
  uint32_t node = 0;
  for (size_t end = at; end < text.size(); ++end) {
    const auto child = children_.find(edge(node, text[end]));
    if (child == children_.end()) break;
    node = child->second;
    if (token_at_[node] >= 0) {
      longest = &tokens_[static_cast<size_t>(token_at_[node])];
      length = end + 1 - at;
    }
  }
  return longest;
}

void AddedTokenFinder::split(std::string_view text, std::vector<TextPart>& parts) const {
  size_t done = 0;
  size_t at = children_.empty() ? text.size() : 0;
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
