// Byte strings, each with a number, arranged so that all that a text begins with are found in one
// pass.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth::engine {

// Immutable, thread-safe. Memory: nine bytes for each distinct prefix of the keys.
class Trie {
 public:
  struct Entry {
    std::string_view key;  // empty ones are ignored
    int32_t value = 0;     // >= 0
  };

  // Keeps no view of the keys. The last of equal keys counts.
  explicit Trie(std::vector<Entry> entries = {});

  bool empty() const { return labels_.size() <= 1; }

  // Calls visit(value, length) for each key that `text` begins with, shortest first.
  template <class Visit>
  void prefixes(std::string_view text, const Visit& visit) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node == 0) return;
      if (values_[node] >= 0) visit(values_[node], i + 1);
    }
  }

  // The value of a key, -1 for other texts.
  int32_t find(std::string_view key) const;

 private:
  uint32_t child(uint32_t node, uint8_t label) const;  // 0: none

  // Nodes are numbered breadth first, so that the children of one are neighbours, sorted by label.
  std::vector<uint8_t> labels_;  // of the edge that leads to a node
  std::vector<uint32_t> first_;  // a node's first child; its last is before first_[node + 1]
  std::vector<int32_t> values_;  // -1: no key ends here
};

}  // namespace hearth::engine
