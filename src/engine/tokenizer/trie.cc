#include "engine/tokenizer/trie.h"

#include <algorithm>

namespace hearth::engine {

Trie::Trie(std::vector<Entry> entries) : labels_{0}, values_{-1} {
  std::erase_if(entries, [](const Entry& entry) { return entry.key.empty(); });
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.key < b.key; });
  struct Range {  // the entries below one node
    size_t begin;
    size_t end;
  };
  std::vector<Range> level = {{0, entries.size()}};
  for (size_t depth = 0; !level.empty(); ++depth) {
    std::vector<Range> next;
    for (const Range range : level) {
      first_.push_back(static_cast<uint32_t>(labels_.size()));
      size_t at = range.begin;
      while (at < range.end && entries[at].key.size() == depth) ++at;  // those that end here
      while (at < range.end) {
        const char label = entries[at].key[depth];
        size_t end = at;
        int32_t value = -1;
        for (; end < range.end && entries[end].key[depth] == label; ++end) {
          if (entries[end].key.size() == depth + 1) value = entries[end].value;
        }
        labels_.push_back(static_cast<uint8_t>(label));
        values_.push_back(value);
        next.push_back({at, end});
        at = end;
      }
    }
    level = std::move(next);
  }
  first_.push_back(static_cast<uint32_t>(labels_.size()));
}

uint32_t Trie::child(uint32_t node, uint8_t label) const {
  uint32_t low = first_[node];
  uint32_t high = first_[node + 1];
  while (high - low > 8) {
    const uint32_t middle = (low + high) / 2;
    if (labels_[middle] <= label) {
      low = middle;
    } else {
      high = middle;
    }
  }
  for (; low < high; ++low) {
    if (labels_[low] == label) return low;
  }
  return 0;
}

int32_t Trie::find(std::string_view key) const {
  uint32_t node = 0;
  for (const char c : key) {
    node = child(node, static_cast<uint8_t>(c));
    if (node == 0) return -1;
  }
  return values_[node];
}

}  // namespace hearth::engine
