// Sums of ranks that share memory. Each lays its numbers out in turn in two places of its own,
// piece by piece, and adds what the others have laid out. Private to team/ and collectives.cc.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "fabric/common/patience.h"
#include "fabric/group.h"
#include "fabric/team/segment.h"
#include "fabric/team/wire.h"

namespace hearth::fabric {

class Board {
 public:
  // Called by all of `ranks` alike, which share memory, and of which this is number `own`. Null, on
  // all of them, when the system refuses one its part of it.
  static Result<std::unique_ptr<Board>> make(Group& group, std::vector<int> ranks, int own,
                                             Wire wire);

  // As Collectives::all_reduce, or, unless `to` is empty, all_reduce_onto.
  Result<void> all_reduce(std::span<float> data, std::span<float> to);
  // The first rank's numbers become those of all. REQUIRES: numbers travel as float32.
  Result<void> share(std::span<float> data);
  // Instead of share(), by the first rank: the others' ends with kCorrupt.
  void refuse() { lay({}, kRefused); }

 private:
  // Small enough for the caches of a core, large enough that waiting for each other costs little.
  static constexpr size_t kPieceNumbers = 16 * 1024;

  static constexpr uint64_t kRefused = ~uint64_t{0};

  struct Piece {
    uint64_t count;  // of all the call's numbers
    alignas(64) std::byte part[(kPieceNumbers + kWireBlock) * sizeof(float)];
  };
  // A rank's own. A piece may be overwritten when the one after it has been added: all others have
  // laid that out then, and did so after they had added this one.
  struct Place {
    alignas(128) std::atomic<uint32_t> laid;  // pieces so far
    alignas(128) std::atomic<uint32_t> sleepers;
    alignas(128) Piece pieces[2];  // even and odd ones
  };
  static_assert(std::atomic<uint32_t>::is_always_lock_free);

  Board(Group& group, std::vector<int> ranks, int own, Wire wire, Segment segment);

  Piece& piece(int rank) { return places_[rank].pieces[laid_ % 2]; }
  // Lays out `numbers` of a call with `count`; returns them as this rank adds them.
  const std::byte* lay(std::span<const float> numbers, size_t count);
  // Waits for what all others lay out and notes it in parts_.
  Result<void> collect(size_t count);
  // What `rank` has laid out as its part of a call with `count`; kCorrupt if that differs.
  Result<const std::byte*> part_of(int rank, size_t count);
  Result<void> wait_for(int rank);
  void sleep(Place* place) const;
  bool has_laid(const Place& place) const;

  Group& group_;
  const std::vector<int> ranks_;
  const int own_;
  const Wire wire_;
  const Segment segment_;
  Place* const places_;  // by rank
  uint32_t laid_ = 0;    // by this rank
  std::vector<const std::byte*> parts_;
  Patience patience_;
};

}  // namespace hearth::fabric
