// Sums and gatherings of ranks that send each other messages. Private to team/ and collectives.cc.
//
// Few numbers go to every rank at once, and every rank adds all. Many go in pieces, the next on its
// way while one is added, so that little waits in queues. With three ranks or more each then adds
// its slice of a piece alone and sends the sum to the others: less to send, but twice the latency.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "fabric/group.h"
#include "fabric/team/wire.h"

namespace hearth::fabric {

class Mail {
 public:
  // This is number `own` of `ranks`.
  Mail(Group& group, std::vector<int> ranks, int own, Wire wire);

  // As Collectives::all_reduce, or, unless `to` is empty, all_reduce_onto.
  Result<void> all_reduce(std::span<float> data, std::span<float> to);
  // As Collectives'.
  Result<void> all_gather(std::span<const std::byte> own,
                          std::span<const std::span<std::byte>> all);
  // Instead of all_reduce(): that of the others ends with kCorrupt.
  void refuse();

 private:
  // Of a message, at most: two of them fit into a socket's buffer within a host.
  static constexpr size_t kPieceNumbers = 32 * 1024;
  using Announcement = std::array<std::byte, kNoPartBytes>;

  int size() const { return static_cast<int>(ranks_.size()); }
  Result<void> send_all(Tag tag, std::span<const std::byte> message);
  // A message that is exactly as long.
  Result<void> recv(int rank, Tag tag, std::span<std::byte> message);
  // Tells all how many numbers follow in pieces and hears the same from them.
  Result<void> announce(size_t count);
  static Announcement announcement(uint64_t count);

  // Every rank sends all of `data`.
  Result<void> sum_whole(std::span<float> data);
  // `numbers` as this rank adds them, in a room of even and odd pieces.
  const std::byte* encode(std::span<const float> numbers, size_t piece);
  // Notes in parts_ what the others sent of `count` numbers as this rank encoded its own into
  // `own`, and that.
  Result<void> gather(const std::byte* own, size_t count);
  // `numbers` become the sum of these.
  Result<void> add(const std::byte* own, std::span<float> numbers);

  // Every rank adds a slice.
  Result<void> sum_sliced(std::span<float> data);
  Result<void> scatter(std::span<float> window);
  Result<void> sum_slice(std::span<float> window);
  Result<void> collect(std::span<float> window);
  std::span<float> slice(std::span<float> window, int rank) const;

  Group& group_;
  const std::vector<int> ranks_;
  const int own_;
  const Wire wire_;
  std::vector<std::byte> rooms_;  // [size + 1][Wire::room(kPieceNumbers)]
  std::vector<const std::byte*> parts_;
};

}  // namespace hearth::fabric
