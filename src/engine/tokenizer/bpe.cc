#include "engine/tokenizer/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <queue>

namespace hearth::engine {
namespace {

// Up to here, looking at every pair for each merge is faster than keeping a queue.
constexpr size_t kShortWord = 32;

uint64_t key_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

size_t hash_of(uint64_t key) {  // the finaliser of MurmurHash3
  key = (key ^ key >> 33) * 0xff51afd7ed558ccd;
  key = (key ^ key >> 33) * 0xc4ceb9fe1a85ec53;
  return key ^ key >> 33;
}

}  // namespace

Bpe::Bpe(BpeOptions options)
    : byte_ids_(options.byte_ids),
      whole_words_(std::move(options.whole_words)),
      unknown_id_(options.unknown_id),
      fuse_unknown_(options.fuse_unknown),
      rules_(std::bit_ceil(2 * options.merges.size() + 2)) {
  for (const auto& [word, id] : whole_words_) {
    whole_word_bytes_max_ = std::max(whole_word_bytes_max_, word.size());
  }
  int32_t rank = 0;
  for (const BpeMerge& merge : options.merges) {
    const uint64_t key = key_of(merge.left, merge.right);
    size_t place = hash_of(key) & (rules_.size() - 1);
    while (rules_[place].pair != UINT64_MAX && rules_[place].pair != key) {
      place = (place + 1) & (rules_.size() - 1);
    }
    rules_[place] = {key, rank++, merge.result};
  }
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
  thread_local std::vector<int32_t> symbols;
  symbols.clear();
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
  if (symbols.size() <= kShortWord) {
    merge_short(symbols);
  } else {
    merge_long(symbols);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.end());
  if (symbols.capacity() > 1 << 16) {  // one huge word is no reason to keep its memory
    std::vector<int32_t>().swap(symbols);
  }
}

void Bpe::merge_short(std::vector<int32_t>& symbols) const {
  std::array<const Rule*, kShortWord> rules{};  // of each symbol with the next
  size_t count = symbols.size();
  for (size_t i = 0; i + 1 < count; ++i) rules[i] = rule_of(symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = count;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (rules[i] != nullptr && (best == count || rules[i]->rank < rules[best]->rank)) best = i;
    }
    if (best == count) break;
    symbols[best] = rules[best]->result;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      rules[i] = rules[i + 1];
    }
    if (best > 0) rules[best - 1] = rule_of(symbols[best - 1], symbols[best]);
    rules[best] = best + 1 < count ? rule_of(symbols[best], symbols[best + 1]) : nullptr;
  }
  symbols.resize(count);
}

// A linked list of symbols and a queue of the pairs in it, each as its rule's rank and the place of
// its left symbol in one number. A pair may have changed since it was queued: then its rule is
// another one.
void Bpe::merge_long(std::vector<int32_t>& symbols) const {
  const auto size = static_cast<uint32_t>(symbols.size());
  std::vector<uint32_t> next(size);  // `size` behind the last
  std::vector<uint32_t> previous(size);
  std::vector<uint64_t> first;  // the pairs of the word as it is
  const auto rule_at = [&](uint32_t at) -> const Rule* {
    return symbols[at] < 0 || next[at] >= size ? nullptr : rule_of(symbols[at], symbols[next[at]]);
  };
  const auto candidate = [](const Rule& rule, uint32_t at) {
    return static_cast<uint64_t>(rule.rank) << 32 | at;
  };
  for (uint32_t i = 0; i < size; ++i) {
    previous[i] = i - 1;
    next[i] = i + 1;
  }
  for (uint32_t i = 0; i < size; ++i) {
    if (const Rule* rule = rule_at(i)) first.push_back(candidate(*rule, i));
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> queue(std::greater<>(),
                                                                             std::move(first));
  while (!queue.empty()) {
    const uint64_t top = queue.top();
    queue.pop();
    const auto at = static_cast<uint32_t>(top);
    const Rule* rule = rule_at(at);
    if (rule == nullptr || candidate(*rule, at) != top) continue;
    const uint32_t gone = next[at];
    symbols[at] = rule->result;
    symbols[gone] = -1;
    next[at] = next[gone];
    if (next[at] < size) previous[next[at]] = at;
    if (const Rule* after = rule_at(at)) queue.push(candidate(*after, at));
    if (at == 0) continue;
    if (const Rule* before = rule_at(previous[at])) queue.push(candidate(*before, previous[at]));
  }
  std::erase(symbols, -1);
}

}  // namespace hearth::engine
