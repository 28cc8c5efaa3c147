#include "engine/tokenizer/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "engine/tokenizer/byte_level.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {

Result<void> Vocabulary::check_id(std::string_view token, int64_t id) const {
  if (id < 0 || id > kIdMax) {
    return Error(Code::kCorrupt,
                 fmt::format("{}: token {} has id {}, expected 0 to {}", file_, token, id, kIdMax));
  }
  const std::string_view other = text(static_cast<size_t>(id));
  if (other.empty() || other == token) return {};
  return Error(Code::kCorrupt,
               fmt::format("{}: tokens {} and {} both have id {}", file_, other, token, id));
}

Result<void> Vocabulary::add(std::string_view token, int64_t id) {
  HEARTH_RETURN_IF_ERROR(check_id(token, id));
  const auto place = static_cast<size_t>(id);
  if (place >= places_.size()) places_.resize(place + 1);
  if (token.empty() || places_[place].bytes > 0) return {};
  if (texts_.size() + token.size() > kTextBytesMax) {
    return Error(Code::kCorrupt, fmt::format("{}: token {}: expected at most {} bytes of tokens",
                                             file_, token, kTextBytesMax));
  }
  places_[place] = {static_cast<uint32_t>(texts_.size()), static_cast<uint32_t>(token.size())};
  texts_ += token;
  if (2 * (indexed_ + 1) > index_.size()) grow_index();
  int32_t& slot = index_[slot_of(token)];
  if (slot >= 0) return {};
  slot = static_cast<int32_t>(id);
  ++indexed_;
  return {};
}

std::string_view Vocabulary::text(size_t id) const {
  if (id >= places_.size()) return {};
  return std::string_view(texts_).substr(places_[id].begin, places_[id].bytes);
}

std::vector<std::string> Vocabulary::tokens() const {
  std::vector<std::string> tokens;
  tokens.reserve(size());
  for (size_t id = 0; id < size(); ++id) tokens.emplace_back(text(id));
  return tokens;
}

size_t Vocabulary::slot_of(std::string_view token) const {
  size_t slot = std::hash<std::string_view>()(token) & (index_.size() - 1);
  while (index_[slot] >= 0 && text(static_cast<size_t>(index_[slot])) != token) {
    slot = (slot + 1) & (index_.size() - 1);
  }
  return slot;
}

void Vocabulary::grow_index() {
  constexpr size_t kSlotsMin = 1024;
  const std::vector<int32_t> ids =
      std::exchange(index_, std::vector<int32_t>(std::max(kSlotsMin, 2 * index_.size()), -1));
  for (const int32_t id : ids) {
    if (id >= 0) index_[slot_of(text(static_cast<size_t>(id)))] = id;
  }
}

int32_t Vocabulary::id_of(std::string_view token) const {
  return index_.empty() || token.empty() ? -1 : index_[slot_of(token)];
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
  for (const int32_t id : index_) {
    if (id < 0) continue;
    std::optional<std::string> bytes = bytes_of_token(text(static_cast<size_t>(id)));
    if (bytes && !bytes->empty()) words.emplace(std::move(*bytes), id);
  }
  return words;
}

std::unordered_map<char32_t, int32_t> Vocabulary::character_ids() const {
  std::unordered_map<char32_t, int32_t> characters;
  for (const int32_t id : index_) {
    if (id < 0) continue;
    const std::string_view token = text(static_cast<size_t>(id));
    if (token.size() != character_bytes(token)) continue;
    characters.emplace(first_character(token), id);
  }
  return characters;
}

std::unordered_map<std::string, int32_t> Vocabulary::texts() const {
  std::unordered_map<std::string, int32_t> texts;
  for (const int32_t id : index_) {
    if (id >= 0) texts.emplace(text(static_cast<size_t>(id)), id);
  }
  return texts;
}

std::array<int32_t, 256> Vocabulary::fallback_ids() const {
  std::array<int32_t, 256> ids{};
  for (size_t byte = 0; byte < ids.size(); ++byte)
    ids[byte] = id_of(fmt::format("<0x{:02X}>", byte));
  return ids;
}

}  // namespace hearth::engine
