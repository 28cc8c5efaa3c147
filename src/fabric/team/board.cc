#include "fabric/team/board.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/relax.h"
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>
#endif

namespace hearth::fabric {
namespace {

// Looks before the clock is asked.
constexpr int kLooks = 20;
// So often a sleeper asks whether the group has failed.
constexpr std::chrono::milliseconds kAskEvery{50};

enum Answer : char { kNo, kYes };

#if defined(__linux__)
void wait_on(std::atomic<uint32_t>* word, uint32_t value) {
  const timespec timeout{.tv_sec = 0, .tv_nsec = std::chrono::nanoseconds(kAskEvery).count()};
  ::syscall(SYS_futex, word, FUTEX_WAIT, value, &timeout, nullptr, 0);
}

void wake(std::atomic<uint32_t>* word) {
  ::syscall(SYS_futex, word, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}
#else
void wait_on(std::atomic<uint32_t>*, uint32_t) {
  std::this_thread::sleep_for(std::chrono::microseconds(50));
}

void wake(std::atomic<uint32_t>*) {}
#endif

// The few words with which ranks agree on a segment: the first of `ranks` asks, the others answer.
class Agreement {
 public:
  Agreement(Group& group, const std::vector<int>& ranks, int own)
      : group_(group), ranks_(ranks), own_(own) {}

  // Whether all say yes.
  Result<bool> all(bool mine) {
    std::vector<std::byte> word(1, std::byte(mine ? kYes : kNo));
    if (own_ != 0) {
      HEARTH_RETURN_IF_ERROR(group_.send(ranks_[0], kTeamTag, word));
    } else {
      for (size_t r = 1; r < ranks_.size(); ++r) {
        std::vector<std::byte> theirs;
        HEARTH_RETURN_IF_ERROR(group_.recv(ranks_[r], kTeamTag, &theirs));
        if (theirs.size() != 1) return Error(Code::kCorrupt, "ranks disagree on what they sum");
        if (theirs[0] != std::byte(kYes)) word[0] = std::byte(kNo);
      }
    }
    HEARTH_RETURN_IF_ERROR(tell(&word));
    return word.size() == 1 && word[0] == std::byte(kYes);
  }

  // `words` of the first rank become those of all.
  Result<void> tell(std::vector<std::byte>* words) {
    if (own_ != 0) return group_.recv(ranks_[0], kTeamTag, words);
    for (size_t r = 1; r < ranks_.size(); ++r) {
      HEARTH_RETURN_IF_ERROR(group_.send(ranks_[r], kTeamTag, *words));
    }
    return {};
  }

 private:
  Group& group_;
  const std::vector<int>& ranks_;
  const int own_;
};

}  // namespace

Result<std::unique_ptr<Board>> Board::make(Group& group, std::vector<int> ranks, int own,
                                           Wire wire) {
  Agreement agreement(group, ranks, own);
  const size_t bytes = ranks.size() * sizeof(Place);
  Result<Segment> segment = own == 0 ? Segment::create(bytes) : Segment();
  std::vector<std::byte> name;
  if (segment.ok()) {
    const auto text = std::as_bytes(std::span(segment->name()));
    name.assign(text.begin(), text.end());
  }
  HEARTH_RETURN_IF_ERROR(agreement.tell(&name));
  if (own != 0) {
    segment = Segment::open({reinterpret_cast<const char*>(name.data()), name.size()}, bytes);
  }
  const Result<bool> all_have = agreement.all(segment.ok());
  if (own == 0 && segment.ok()) segment->remove_name();
  HEARTH_RETURN_IF_ERROR(all_have);
  if (!segment.ok()) log::debug("sums go by messages: {}", segment.error().message());
  if (!*all_have) return std::unique_ptr<Board>();
  return std::unique_ptr<Board>(
      new Board(group, std::move(ranks), own, wire, std::move(segment).value()));
}

Board::Board(Group& group, std::vector<int> ranks, int own, Wire wire, Segment segment)
    : group_(group),
      ranks_(std::move(ranks)),
      own_(own),
      wire_(wire),
      segment_(std::move(segment)),
      places_(reinterpret_cast<Place*>(segment_.data())),
      parts_(ranks_.size()) {}

Result<void> Board::all_reduce(std::span<float> data, std::span<float> to) {
  size_t at = 0;
  do {
    const auto numbers = data.subspan(at, std::min(kPieceNumbers, data.size() - at));
    parts_[own_] = lay(numbers, data.size());
    HEARTH_RETURN_IF_ERROR(collect(data.size()));
    if (to.empty()) {
      wire_.sum(parts_, numbers);
    } else {
      wire_.sum_onto(parts_, to.subspan(at, numbers.size()));
    }
    at += numbers.size();
  } while (at < data.size());
  return {};
}

Result<void> Board::share(std::span<float> data) {
  size_t at = 0;
  do {
    const auto numbers = data.subspan(at, std::min(kPieceNumbers, data.size() - at));
    parts_[own_] = lay(own_ == 0 ? numbers : numbers.first(0), data.size());
    HEARTH_RETURN_IF_ERROR(collect(data.size()));
    if (own_ != 0 && !numbers.empty()) {
      std::memcpy(numbers.data(), parts_[0], numbers.size_bytes());
    }
    at += numbers.size();
  } while (at < data.size());
  return {};
}

Result<void> Board::collect(size_t count) {
  for (int rank = 0; rank < static_cast<int>(ranks_.size()); ++rank) {
    if (rank == own_) continue;
    HEARTH_TRY(parts_[rank], part_of(rank, count));
  }
  return {};
}

Result<const std::byte*> Board::part_of(int rank, size_t count) {
  HEARTH_RETURN_IF_ERROR(wait_for(rank));
  const Piece& theirs = piece(rank);
  if (theirs.count == count) return theirs.part;
  if (theirs.count == kRefused) {
    return Error(Code::kCorrupt, fmt::format("rank {} has no sum of the other hosts' numbers, "
                                             "whose sizes differ",
                                             ranks_[rank]));
  }
  return Error(Code::kCorrupt,
               fmt::format("rank {} gave {} numbers to a sum where {} were expected", ranks_[rank],
                           theirs.count, count));
}

const std::byte* Board::lay(std::span<const float> numbers, size_t count) {
  ++laid_;
  Piece& mine = piece(own_);
  mine.count = count;
  const std::byte* part = wire_.encode(numbers, mine.part);
  if (part != mine.part) std::memcpy(mine.part, part, wire_.bytes(numbers.size()));
  // Either a sleeper sees the count, or this sees the sleeper.
  places_[own_].laid.store(laid_, std::memory_order_seq_cst);
  if (places_[own_].sleepers.load(std::memory_order_seq_cst) != 0) wake(&places_[own_].laid);
  return part;
}

bool Board::has_laid(const Place& place) const {
  // At most two ahead or behind, whatever the counts.
  return static_cast<int32_t>(place.laid.load(std::memory_order_acquire) - laid_) >= 0;
}

Result<void> Board::wait_for(int rank) {
  Place& place = places_[rank];
  for (int look = 0; look < kLooks; ++look) {
    if (has_laid(place)) return {};
    relax();
  }
  patience_.renew();
  while (true) {
    // In this order: what a rank laid out before it left counts.
    const Result<void> going = group_.status();
    if (has_laid(place)) return {};
    HEARTH_RETURN_IF_ERROR(going);
    if (patience_.spin()) continue;
    sleep(&place);
    patience_.renew();
  }
}

void Board::sleep(Place* place) const {
  place->sleepers.fetch_add(1, std::memory_order_seq_cst);
  const uint32_t seen = place->laid.load(std::memory_order_seq_cst);
  if (static_cast<int32_t>(seen - laid_) < 0) wait_on(&place->laid, seen);
  place->sleepers.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace hearth::fabric
