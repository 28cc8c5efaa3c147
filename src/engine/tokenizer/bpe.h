// Byte-pair encoding of one word: https://arxiv.org/abs/1508.07909, on bytes or on characters.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/tokenizer/word_encoder.h"

namespace hearth::engine {

// Two neighbouring tokens that become one.
struct BpeMerge {
  int32_t left = 0;
  int32_t right = 0;
  int32_t result = 0;
  int32_t rank = 0;  // the lowest is done first
};

// What words are made of before anything is merged.
enum class BpeUnit { kByte, kCharacter };

struct BpeOptions {
  BpeUnit unit = BpeUnit::kByte;
  // The token of each byte, -1: none. Where units are characters: what a character without a token
  // is written in, if all of its bytes have one.
  std::array<int32_t, 256> byte_ids = no_bytes();
  std::unordered_map<char32_t, int32_t> character_ids;
  // Characters that are no tokens but parts of some: they take part in merges under ids from
  // `parts_begin` on, and are written like characters without a token where none applied.
  std::vector<char32_t> parts;
  int32_t parts_begin = INT32_MAX;
  std::vector<BpeMerge> merges;  // the last of equal pairs counts
  // Words that are one token whatever the merges say.
  std::unordered_map<std::string, int32_t> whole_words;
  int32_t unknown_id = -1;    // for units without a token; -1: such units vanish
  bool fuse_unknown = false;  // neighbouring unknown units are one token

  static std::array<int32_t, 256> no_bytes() {
    std::array<int32_t, 256> ids;
    ids.fill(-1);
    return ids;
  }
};

class Bpe final : public WordEncoder {
 public:
  // `tokens`: texts by id, asked only where units are characters; no view of them is kept.
  explicit Bpe(BpeOptions options, const std::vector<std::string>& tokens = {});

  // Appends the ids of `word`: of all merges that apply, the one of the lowest rank is done first,
  // the leftmost of equals, until none applies. Time is O(n log n).
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;
  std::string_view kind() const override { return "BPE"; }

 private:
  struct Rule {
    uint64_t pair = UINT64_MAX;  // left and right id; UINT64_MAX: an empty place
    int32_t rank = 0;
    int32_t result = 0;
  };

  void find_joints(const BpeOptions& options, const std::vector<std::string>& tokens);
  // May a merge join the unit that ends with `left` to the one that begins with `right`?
  bool may_join(char32_t left, char32_t right) const;
  size_t segment_bytes(std::string_view word) const;
  void encode_segment(std::string_view word, std::vector<int32_t>& ids) const;
  void add_bytes(std::string_view word, std::vector<int32_t>& symbols) const;
  void add_characters(std::string_view word, std::vector<int32_t>& symbols) const;
  // The rule that joins two tokens, or null.
  const Rule* rule_of(int32_t left, int32_t right) const;
  void merge_short(std::vector<int32_t>& symbols) const;
  void merge_long(std::vector<int32_t>& symbols) const;

  BpeUnit unit_;
  std::array<int32_t, 256> byte_ids_;
  std::unordered_map<char32_t, int32_t> character_ids_;
  std::array<int32_t, 128> ascii_ids_;  // of character_ids_
  std::vector<std::string> parts_;
  int32_t parts_begin_;
  std::unordered_map<std::string, int32_t> whole_words_;
  size_t whole_word_bytes_max_ = 0;
  int32_t unknown_id_;
  bool fuse_unknown_;
  std::vector<Rule>
      rules_;  // open addressing, a power of two of places, at most half of them taken
  // Pairs of characters that some merge can join; between others words can be cut.
  bool segments_ = false;
  std::vector<uint64_t> joints_;  // a hash set like rules_
  std::array<std::array<bool, 128>, 128> ascii_joints_{};
};

}  // namespace hearth::engine
