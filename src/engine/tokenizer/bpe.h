// Byte-pair encoding of one word: https://arxiv.org/abs/1508.07909, on bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hearth::engine {

// Two neighbouring tokens that become one; its rank is its place in the list of merges.
struct BpeMerge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
};

struct BpeOptions {
  std::array<int32_t, 256> byte_ids;  // the token of each byte; -1: none
  std::vector<BpeMerge> merges;       // lowest rank first; the last of equal pairs counts
  // Words (bytes) that are one token whatever the merges say.
  std::unordered_map<std::string, int32_t> whole_words;
  int32_t unknown_id = -1;    // for bytes without a token; -1: such bytes vanish
  bool fuse_unknown = false;  // neighbouring unknown bytes are one token
};

// Immutable, thread-safe.
class Bpe {
 public:
  explicit Bpe(BpeOptions options);

  // Appends the ids of `word`: of all merges that apply, the one of the lowest rank is done first,
  // the leftmost of equals, until none applies. Time is O(n log n).
  void encode(std::string_view word, std::vector<int32_t>& ids) const;

 private:
  struct Rule {
    uint64_t pair = UINT64_MAX;  // left and right id; UINT64_MAX: an empty place
    int32_t rank = 0;
    int32_t result = 0;
  };

  // The rule that joins two tokens, or null.
  const Rule* rule_of(int32_t left, int32_t right) const;
  void merge_short(std::vector<int32_t>& symbols) const;
  void merge_long(std::vector<int32_t>& symbols) const;

  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<std::string, int32_t> whole_words_;
  size_t whole_word_bytes_max_ = 0;
  int32_t unknown_id_;
  bool fuse_unknown_;
  std::vector<Rule>
      rules_;  // open addressing, a power of two of places, at most half of them taken
};

}  // namespace hearth::engine
