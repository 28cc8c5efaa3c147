#include "engine/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include "engine/tokenizer/byte_level.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {

Result<void> Vocabulary::add(std::string_view token, int64_t id) {
  if (id < 0 || id > kIdMax) {
    return Error(Code::kCorrupt,
                 fmt::format("{}: token {} has id {}, expected 0 to {}", file_, token, id, kIdMax));
  }
  const auto place = static_cast<size_t>(id);
  if (place >= tokens_.size()) tokens_.resize(place + 1);
  if (!tokens_[place].empty() && tokens_[place] != token) {
    return Error(Code::kCorrupt, fmt::format("{}: tokens {} and {} both have id {}", file_,
                                             tokens_[place], token, id));
  }
  tokens_[place] = token;
  ids_.emplace(token, static_cast<int32_t>(id));
  return {};
}

int32_t Vocabulary::id_of(std::string_view token) const {
  const auto found = ids_.find(std::string(token));
  return found == ids_.end() ? -1 : found->second;
}

Result<BpeMerge> Vocabulary::merge(std::string_view left, std::string_view right) const {
  const std::string joined = fmt::format("{}{}", left, right);
  const BpeMerge merge{id_of(left), id_of(right), id_of(joined)};
  if (merge.left >= 0 && merge.right >= 0 && merge.result >= 0) return merge;
  const std::string_view missing = merge.left < 0    ? left
                                   : merge.right < 0 ? right
                                                     : std::string_view(joined);
  return Error(Code::kCorrupt,
               fmt::format("{}: merge of {} and {}: {} is no token", file_, left, right, missing));
}

std::array<int32_t, 256> Vocabulary::byte_ids() const {
  std::array<int32_t, 256> ids{};
  for (int byte = 0; byte < 256; ++byte) {
    ids[static_cast<size_t>(byte)] = id_of(character_of_byte(static_cast<uint8_t>(byte)));
  }
  return ids;
}

std::unordered_map<std::string, int32_t> Vocabulary::words() const {
  std::unordered_map<std::string, int32_t> words;
  for (const auto& [token, id] : ids_) {
    std::optional<std::string> bytes = bytes_of_token(token);
    if (bytes && !bytes->empty()) words.emplace(std::move(*bytes), id);
  }
  return words;
}

std::unordered_map<char32_t, int32_t> Vocabulary::character_ids() const {
  std::unordered_map<char32_t, int32_t> characters;
  for (const auto& [token, id] : ids_) {
    if (token.empty() || token.size() != character_bytes(token)) continue;
    characters.emplace(first_character(token), id);
  }
  return characters;
}

std::array<int32_t, 256> Vocabulary::fallback_ids() const {
  std::array<int32_t, 256> ids{};
  for (size_t byte = 0; byte < ids.size(); ++byte)
    ids[byte] = id_of(fmt::format("<0x{:02X}>", byte));
  return ids;
}

}  // namespace hearth::engine
