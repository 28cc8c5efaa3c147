// Numbers as they travel between the ranks of a team, and their sum. Private to team/ and
// collectives.cc.
#pragma once

#include <cstddef>
#include <span>

#include "fabric/collectives.h"

namespace hearth::fabric {

// Numbers are encoded in blocks of so many.
inline constexpr size_t kWireBlock = 32;
// No part has this length in any precision.
inline constexpr size_t kNoPartBytes = 39;

// to[i] += numbers[i]; nothing if `to` is empty.
void add(std::span<const float> numbers, std::span<float> to);

class Wire {
 public:
  explicit Wire(WirePrecision precision) : precision_(precision) {}

  WirePrecision precision() const { return precision_; }
  // What `count` numbers take on the wire; differs with `count`.
  size_t bytes(size_t count) const;
  // What a part of `count` numbers takes in memory: its last block is whole there.
  static size_t room(size_t count) { return (count + kWireBlock) * sizeof(float); }

  // `numbers` as they travel: written to `room`, or where they lie.
  const std::byte* encode(std::span<const float> numbers, std::byte* room) const;

  // out[i] = parts[0][i] + parts[1][i] + ... in float32, every part as encode() gave it, two at
  // least. `out` may itself be one of them.
  void sum(std::span<const std::byte* const> parts, std::span<float> out) const;
  // to[i] += what sum() gives. `to` is none of the parts.
  void sum_onto(std::span<const std::byte* const> parts, std::span<float> to) const;

 private:
  const WirePrecision precision_;
};

}  // namespace hearth::fabric
