#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <optional>
#include <queue>

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

// Up to here, looking at every pair for each merge is faster than keeping a queue.
constexpr size_t kShortWord = 128;

uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

size_t hash_of(uint64_t key) {  // the finaliser of MurmurHash3
  key = (key ^ key >> 33) * 0xff51afd7ed558ccd;
  key = (key ^ key >> 33) * 0xc4ceb9fe1a85ec53;
  return key ^ key >> 33;
}

// A queue of places, lowest rank first, then leftmost. Places of a rank come nearly in order, and
// few ranks occur in one word: sorting each rank's places when its turn comes is much faster than a
// heap of all of them.
class PlacesByRank {
 public:
  void add(int32_t rank, uint32_t at) {
    const auto [found, added] = places_.try_emplace(rank);
    if (added) ranks_.push(rank);
    Places& places = found->second;
    if (places.begun) {
      places.late.push(at);
    } else {
      places.list.push_back(at);
    }
  }

  std::optional<std::pair<int32_t, uint32_t>> take() {
    while (!ranks_.empty()) {
      const int32_t rank = ranks_.top();
      const auto found = places_.find(rank);
      if (const auto at = found->second.take()) return std::pair(rank, *at);
      places_.erase(found);
      ranks_.pop();
    }
    return std::nullopt;
  }

 private:
  struct Places {
    bool begun = false;
    std::vector<uint32_t> list;  // in order once `begun`
    size_t taken = 0;            // of the list
    std::priority_queue<uint32_t, std::vector<uint32_t>, std::greater<>> late;  // since `begun`

    std::optional<uint32_t> take() {
      if (!begun && !std::is_sorted(list.begin(), list.end())) std::sort(list.begin(), list.end());
      begun = true;
      if (!late.empty() && (taken == list.size() || late.top() < list[taken])) {
        const uint32_t at = late.top();
        late.pop();
        return at;
      }
      if (taken == list.size()) return std::nullopt;
      return list[taken++];
    }
  };

  std::unordered_map<int32_t, Places> places_;
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> ranks_;
};

}  // namespace

Bpe::Bpe(BpeOptions options, const std::vector<std::string>& tokens)
    : unit_(options.unit),
      byte_ids_(options.byte_ids),
      parts_begin_(options.parts_begin),
      whole_words_(std::move(options.whole_words)),
      unknown_id_(options.unknown_id),
      fuse_unknown_(options.fuse_unknown),
      rules_(std::bit_ceil(2 * options.merges.size() + 2)) {
  for (const auto& [word, id] : whole_words_) {
    whole_word_bytes_max_ = std::max(whole_word_bytes_max_, word.size());
  }
  for (const BpeMerge& merge : options.merges) {
    const uint64_t key = key_of(merge.left, merge.right);
    size_t place = hash_of(key) & (rules_.size() - 1);
    while (rules_[place].pair != UINT64_MAX && rules_[place].pair != key) {
      place = (place + 1) & (rules_.size() - 1);
    }
    rules_[place] = {key, merge.rank, merge.result};
  }
  if (unit_ == BpeUnit::kCharacter) find_joints(options, tokens);
  character_ids_ = std::move(options.character_ids);
  for (size_t i = 0; i < options.parts.size(); ++i) {
    append_utf8(options.parts[i], parts_.emplace_back());
    character_ids_.emplace(options.parts[i], parts_begin_ + static_cast<int32_t>(i));
  }
  for (char32_t c = 0; c < ascii_ids_.size(); ++c) {
    const auto found = character_ids_.find(c);
    ascii_ids_[c] = found == character_ids_.end() ? -1 : found->second;
  }
}

// A word may be cut where no merge can reach across. That is certain only if every character
// becomes tokens, and if tokens of single bytes and the unknown token take no part in merges.
void Bpe::find_joints(const BpeOptions& options, const std::vector<std::string>& tokens) {
  const auto is_byte = [&](int32_t id) {
    return std::find(byte_ids_.begin(), byte_ids_.end(), id) != byte_ids_.end();
  };
  if (is_byte(-1)) return;
  const auto ends = [&](int32_t id) -> std::pair<char32_t, char32_t> {
    if (id >= parts_begin_) {
      const char32_t part = options.parts[static_cast<size_t>(id - parts_begin_)];
      return {part, part};
    }
    const std::string& text = tokens[static_cast<size_t>(id)];
    return {first_character(text), last_character(text)};
  };
  joints_.assign(std::bit_ceil(2 * options.merges.size() + 2), UINT64_MAX);
  std::vector<bool> bytes(tokens.size());
  for (const int32_t id : byte_ids_) bytes[static_cast<size_t>(id)] = true;
  for (const BpeMerge& merge : options.merges) {
    for (const int32_t id : {merge.left, merge.right}) {
      if (id == unknown_id_ || (id < parts_begin_ && bytes[static_cast<size_t>(id)])) return;
    }
    const char32_t left = ends(merge.left).second;
    const char32_t right = ends(merge.right).first;
    if (left < 128 && right < 128) ascii_joints_[left][right] = true;
    const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
    size_t place = hash_of(key) & (joints_.size() - 1);
    while (joints_[place] != UINT64_MAX && joints_[place] != key) {
      place = (place + 1) & (joints_.size() - 1);
    }
    joints_[place] = key;
  }
  segments_ = true;
}

bool Bpe::may_join(char32_t left, char32_t right) const {
  if (left < 128 && right < 128) return ascii_joints_[left][right];
  const uint64_t key = static_cast<uint64_t>(left) << 32 | right;
  size_t place = hash_of(key) & (joints_.size() - 1);
  while (joints_[place] != key) {
    if (joints_[place] == UINT64_MAX) return false;
    place = (place + 1) & (joints_.size() - 1);
  }
  return true;
}

const Bpe::Rule* Bpe::rule_of(int32_t left, int32_t right) const {
  const uint64_t key = key_of(left, right);
  size_t place = hash_of(key) & (rules_.size() - 1);
  while (rules_[place].pair != key) {
    if (rules_[place].pair == UINT64_MAX) return nullptr;
    place = (place + 1) & (rules_.size() - 1);
  }
  return &rules_[place];
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (!whole_words_.empty() && word.size() <= whole_word_bytes_max_) {
    const auto found = whole_words_.find(std::string(word));
    if (found != whole_words_.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  while (!word.empty()) {
    const size_t bytes = segments_ ? segment_bytes(word) : word.size();
    encode_segment(word.substr(0, bytes), ids);
    word.remove_prefix(bytes);
  }
}

// The first part of `word`, up to where no merge can reach across.
size_t Bpe::segment_bytes(std::string_view word) const {
  size_t at = 0;
  char32_t left = next_character(word, at);
  while (at < word.size()) {
    size_t after = at;
    const char32_t right = next_character(word, after);
    if (!may_join(left, right)) break;
    left = right;
    at = after;
  }
  return at;
}

void Bpe::encode_segment(std::string_view word, std::vector<int32_t>& ids) const {
  thread_local std::vector<int32_t> symbols;
  symbols.clear();
  if (unit_ == BpeUnit::kByte) {
    add_bytes(word, symbols);
  } else {
    add_characters(word, symbols);
  }
  if (symbols.size() <= kShortWord) {
    merge_short(symbols);
  } else {
    merge_long(symbols);
  }
  for (const int32_t id : symbols) {
    if (id < parts_begin_) {
      ids.push_back(id);
      continue;
    }
    const std::string& part = parts_[static_cast<size_t>(id - parts_begin_)];
    const size_t before = ids.size();
    for (const char c : part) {
      const int32_t byte = byte_ids_[static_cast<uint8_t>(c)];
      if (byte >= 0) ids.push_back(byte);
    }
    if (ids.size() - before == part.size()) continue;
    ids.resize(before);
    if (unknown_id_ >= 0) ids.push_back(unknown_id_);
  }
  if (symbols.capacity() > 1 << 16) {  // one huge word is no reason to keep its memory
    std::vector<int32_t>().swap(symbols);
  }
}

void Bpe::add_bytes(std::string_view word, std::vector<int32_t>& symbols) const {
  bool after_unknown = false;
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    const bool unknown = id < 0;
    if (!unknown) {
      symbols.push_back(id);
    } else if (unknown_id_ >= 0 && !(after_unknown && fuse_unknown_)) {
      symbols.push_back(unknown_id_);
    }
    after_unknown = unknown;
  }
}

// An unknown token is put before the next character that has a token of its own: bytes of
// characters between the two come first, as in the library that defines the format.
void Bpe::add_characters(std::string_view word, std::vector<int32_t>& symbols) const {
  bool unknown = false;
  const auto put_unknown = [&] {
    if (unknown) symbols.push_back(unknown_id_);
    unknown = false;
  };
  for (size_t at = 0; at < word.size();) {
    const size_t begin = at;
    const char32_t c = next_character(word, at);
    int32_t id = -1;
    if (c < ascii_ids_.size()) {
      id = ascii_ids_[c];
    } else if (const auto found = character_ids_.find(c); found != character_ids_.end()) {
      id = found->second;
    }
    if (id >= 0) {
      put_unknown();
      symbols.push_back(id);
      continue;
    }
    const std::string_view bytes = word.substr(begin, at - begin);
    const auto byte_id = [&](char b) { return byte_ids_[static_cast<uint8_t>(b)]; };
    if (std::all_of(bytes.begin(), bytes.end(), [&](char b) { return byte_id(b) >= 0; })) {
      for (const char b : bytes) symbols.push_back(byte_id(b));
    } else if (unknown_id_ >= 0) {
      if (!fuse_unknown_) put_unknown();
      unknown = true;
    }
  }
  put_unknown();
}

void Bpe::merge_short(std::vector<int32_t>& symbols) const {
  constexpr int32_t kNone = INT32_MAX;
  // Of each symbol with the next; ranks lie by themselves, so that the lowest is found quickly.
  std::array<int32_t, kShortWord> ranks;
  std::array<int32_t, kShortWord> results;
  const auto look_up = [&](size_t i) {
    const Rule* rule = rule_of(symbols[i], symbols[i + 1]);
    ranks[i] = rule == nullptr ? kNone : rule->rank;
    results[i] = rule == nullptr ? -1 : rule->result;
  };
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const auto pairs = static_cast<std::ptrdiff_t>(count - 1);
    const int32_t lowest = *std::min_element(ranks.begin(), ranks.begin() + pairs);
    if (lowest == kNone) break;
    const auto best = static_cast<size_t>(std::find(ranks.begin(), ranks.begin() + pairs, lowest) -
                                          ranks.begin());
    symbols[best] = results[best];
    --count;
    for (size_t i = best + 1; i < count; ++i) symbols[i] = symbols[i + 1];
    for (size_t i = best + 1; i + 1 < count; ++i) {
      ranks[i] = ranks[i + 1];
      results[i] = results[i + 1];
    }
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  symbols.resize(count);
}

// A linked list of symbols, and for each rank the places of the left symbols of its pairs. A pair
// may have changed since its place was noted: then its rule is another one.
void Bpe::merge_long(std::vector<int32_t>& symbols) const {
  const auto size = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(size);  // `size` behind the last
  std::vector<uint32_t> previous(size);
  PlacesByRank places;
  const auto rule_at = [&](uint32_t at) -> const Rule* {
    return symbols[at] < 0 || next[at] >= size ? nullptr : rule_of(symbols[at], symbols[next[at]]);
  };
  const auto note = [&](uint32_t at) {
    if (const Rule* rule = rule_at(at)) places.add(rule->rank, at);
  };
  for (uint32_t i = 0; i < size; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1;
  }
  for (uint32_t i = 0; i < size; ++i) note(i);
  while (const auto found = places.take()) {
    const auto [rank, at] = *found;
    const Rule* rule = rule_at(at);
    if (rule == nullptr || rule->rank != rank) continue;
    const uint32_t gone = next[at];
    symbols[at] = rule->result;
    symbols[gone] = -1;
    next[at] = next[gone];
    if (next[at] < size) previous[next[at]] = at;
    if (at > 0) note(previous[at]);
    note(at);
  }
  std::erase(symbols, -1);
}

}  // namespace hearth::engine
