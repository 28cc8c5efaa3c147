#include "fabric/team/mail.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace hearth::fabric {
namespace {

constexpr Tag kSumTag = kTeamTag + 1;

size_t pieces_of(size_t count, size_t piece) { return (count + piece - 1) / piece; }

// Number `index` of the pieces of `data`.
std::span<float> piece_of(std::span<float> data, size_t piece, size_t index) {
  return data.subspan(index * piece, std::min(piece, data.size() - index * piece));
}

}  // namespace

Mail::Mail(Group& group, std::vector<int> ranks, int own, Wire wire)
    : group_(group), ranks_(std::move(ranks)), own_(own), wire_(wire), parts_(ranks_.size()) {}

Result<void> Mail::all_reduce(std::span<float> data, std::span<float> to) {
  if (rooms_.empty()) rooms_.resize((size() + 1) * Wire::room(kPieceNumbers));
  if (data.size() <= kPieceNumbers) {
    const std::byte* part = encode(data, 0);
    HEARTH_RETURN_IF_ERROR(send_all(kTeamTag, {part, wire_.bytes(data.size())}));
    if (to.empty()) return add(part, data);
    HEARTH_RETURN_IF_ERROR(gather(part, data.size()));
    wire_.sum_onto(parts_, to);
    return {};
  }
  HEARTH_RETURN_IF_ERROR(announce(data.size()));
  // In slices two ranks add half as much each. Sums of slices are sent as floats, though, which
  // would be more than rounded numbers take.
  const bool whole = size() == 2 && wire_.precision() != WirePrecision::kF32;
  HEARTH_RETURN_IF_ERROR(whole ? sum_whole(data) : sum_sliced(data));
  fabric::add(data, to);
  return {};
}

Result<void> Mail::all_gather(std::span<const std::byte> own,
                              std::span<const std::span<std::byte>> all) {
  HEARTH_RETURN_IF_ERROR(send_all(kTeamTag, own));
  for (int rank = 0; rank < size(); ++rank) {
    if (rank != own_) {
      HEARTH_RETURN_IF_ERROR(recv(rank, kTeamTag, all[rank]));
    } else if (!own.empty()) {
      std::memcpy(all[rank].data(), own.data(), own.size());
    }
  }
  return {};
}

Result<void> Mail::send_all(Tag tag, std::span<const std::byte> message) {
  for (int rank = 0; rank < size(); ++rank) {
    if (rank != own_) HEARTH_RETURN_IF_ERROR(group_.send(ranks_[rank], tag, message));
  }
  return {};
}

Result<void> Mail::recv(int rank, Tag tag, std::span<std::byte> message) {
  HEARTH_TRY(const size_t bytes, group_.recv(ranks_[rank], tag, message));
  if (bytes == message.size()) return {};
  return Error(Code::kCorrupt, fmt::format("rank {} gave {} bytes where {} were expected",
                                           ranks_[rank], bytes, message.size()));
}

Mail::Announcement Mail::announcement(uint64_t count) {
  Announcement message{};
  std::memcpy(message.data(), &count, sizeof count);
  return message;
}

void Mail::refuse() {
  // A number of numbers that nobody has.
  static_cast<void>(send_all(kTeamTag, announcement(~uint64_t{0})));
}

Result<void> Mail::announce(size_t count) {
  const Announcement mine = announcement(count);
  Announcement theirs;
  HEARTH_RETURN_IF_ERROR(send_all(kTeamTag, mine));
  for (int rank = 0; rank < size(); ++rank) {
    if (rank == own_) continue;
    HEARTH_RETURN_IF_ERROR(recv(rank, kTeamTag, theirs));
    if (theirs != mine) {
      return Error(Code::kCorrupt,
                   fmt::format("rank {} sums another number of numbers than the {} expected",
                               ranks_[rank], count));
    }
  }
  return {};
}

const std::byte* Mail::encode(std::span<const float> numbers, size_t piece) {
  // The rooms that no other rank's part takes: this rank's own, and one more.
  const size_t room = piece % 2 == 0 ? own_ : size();
  return wire_.encode(numbers, rooms_.data() + room * Wire::room(kPieceNumbers));
}

Result<void> Mail::gather(const std::byte* own, size_t count) {
  for (int rank = 0; rank < size(); ++rank) {
    parts_[rank] = own;
    if (rank == own_) continue;
    std::byte* room = rooms_.data() + rank * Wire::room(kPieceNumbers);
    HEARTH_RETURN_IF_ERROR(recv(rank, kTeamTag, {room, wire_.bytes(count)}));
    parts_[rank] = room;
  }
  return {};
}

Result<void> Mail::add(const std::byte* own, std::span<float> numbers) {
  HEARTH_RETURN_IF_ERROR(gather(own, numbers.size()));
  wire_.sum(parts_, numbers);
  return {};
}

Result<void> Mail::sum_whole(std::span<float> data) {
  const std::byte* parts[2] = {};  // of even and odd pieces
  const size_t pieces = pieces_of(data.size(), kPieceNumbers);
  for (size_t i = 0; i <= pieces; ++i) {
    if (i < pieces) {
      const auto numbers = piece_of(data, kPieceNumbers, i);
      parts[i % 2] = encode(numbers, i);
      HEARTH_RETURN_IF_ERROR(send_all(kTeamTag, {parts[i % 2], wire_.bytes(numbers.size())}));
    }
    if (i == 0) continue;
    HEARTH_RETURN_IF_ERROR(add(parts[(i - 1) % 2], piece_of(data, kPieceNumbers, i - 1)));
  }
  return {};
}

Result<void> Mail::sum_sliced(std::span<float> data) {
  const size_t window = kPieceNumbers * size(), windows = pieces_of(data.size(), window);
  for (size_t i = 0; i < windows + 2; ++i) {
    if (i < windows) HEARTH_RETURN_IF_ERROR(scatter(piece_of(data, window, i)));
    if (i >= 1 && i <= windows) HEARTH_RETURN_IF_ERROR(sum_slice(piece_of(data, window, i - 1)));
    if (i >= 2) HEARTH_RETURN_IF_ERROR(collect(piece_of(data, window, i - 2)));
  }
  return {};
}

std::span<float> Mail::slice(std::span<float> window, int rank) const {
  // Whole blocks, so that numbers are rounded as if all were sent.
  const size_t blocks = pieces_of(window.size(), kWireBlock);
  const auto begin = [&](int r) {
    return std::min(blocks * r / size() * kWireBlock, window.size());
  };
  return window.subspan(begin(rank), begin(rank + 1) - begin(rank));
}

Result<void> Mail::scatter(std::span<float> window) {
  for (int rank = 0; rank < size(); ++rank) {
    if (rank == own_) continue;
    const auto numbers = slice(window, rank);
    const std::byte* part = encode(numbers, 0);
    HEARTH_RETURN_IF_ERROR(
        group_.send(ranks_[rank], kTeamTag, {part, wire_.bytes(numbers.size())}));
  }
  return {};
}

Result<void> Mail::sum_slice(std::span<float> window) {
  const auto numbers = slice(window, own_);
  HEARTH_RETURN_IF_ERROR(add(encode(numbers, 0), numbers));
  return send_all(kSumTag, std::as_bytes(numbers));
}

Result<void> Mail::collect(std::span<float> window) {
  for (int rank = 0; rank < size(); ++rank) {
    if (rank == own_) continue;
    HEARTH_RETURN_IF_ERROR(recv(rank, kSumTag, std::as_writable_bytes(slice(window, rank))));
  }
  return {};
}

}  // namespace hearth::fabric
