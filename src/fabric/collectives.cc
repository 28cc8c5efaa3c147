#include "fabric/collectives.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "fabric/team/board.h"
#include "fabric/team/hosts.h"
#include "fabric/team/mail.h"

namespace hearth::fabric {
namespace {

using Clock = std::chrono::steady_clock;

// 1 MiB takes 0.25 ms over TCP within a machine, 0.06 ms in its memory, and 0.9 ms at least over a
// link of 10 Gbit/s, where computing meanwhile pays.
constexpr size_t kTrialNumbers = 256 * 1024;
constexpr int kTrials = 3;
constexpr std::chrono::microseconds kSlowTrial{600};

class Team final : public Collectives {
 public:
  Team(Group& group, std::vector<int> ranks, int rank, Wire wire)
      : group_(group),
        ranks_(std::move(ranks)),
        rank_(rank),
        wire_(wire),
        slow_(wire.precision() != WirePrecision::kF32),
        mail_(group, ranks_, rank, wire) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  bool slow() const override { return slow_; }

  Result<void> all_reduce(std::span<float> data) override {
    return checked([&] { return sum(data, {}); });
  }

  Result<void> all_reduce_onto(std::span<float> data, std::span<float> to) override {
    return checked([&] { return sum(data, to); });
  }

  Result<void> all_gather(std::span<const std::byte> own,
                          std::span<const std::span<std::byte>> all) override {
    return checked([&] { return mail_.all_gather(own, all); });
  }

 private:
  // The sum becomes `data`, or is added to `to` if that is not empty.
  Result<void> sum(std::span<float> data, std::span<float> to) {
    if (size() == 1) {
      add(data, to);
      return {};
    }
    if (!met_) {
      HEARTH_RETURN_IF_ERROR(meet());
      met_ = true;
      if (!slow_) {
        HEARTH_TRY(slow_, find_slow());
      }
    }
    return sum_now(data, to);
  }

  Result<void> sum_now(std::span<float> data, std::span<float> to) {
    if (by_mail_) return mail_.all_reduce(data, to);
    if (one_host_) return board_->all_reduce(data, to);
    HEARTH_RETURN_IF_ERROR(sum_by_hosts(data));
    add(data, to);
    return {};
  }

  // Finds out who shares memory with whom.
  Result<void> meet() {
    HEARTH_TRY(const Hosts hosts, find_hosts(group_, ranks_, rank_, mail_));
    by_mail_ = hosts.size() == ranks_.size();
    one_host_ = hosts.size() == 1;
    if (by_mail_) return {};
    std::vector<int> firsts, neighbours;
    for (const std::vector<int>& host : hosts) {
      firsts.push_back(ranks_[host[0]]);
      const bool own = std::find(host.begin(), host.end(), rank_) != host.end();
      for (const int rank : own ? host : std::vector<int>()) neighbours.push_back(ranks_[rank]);
    }
    HEARTH_RETURN_IF_ERROR(make_board(neighbours, one_host_ ? wire_ : Wire(WirePrecision::kF32)));
    const auto first = std::find(firsts.begin(), firsts.end(), ranks_[rank_]);
    if (!one_host_ && first != firsts.end()) {
      between_.emplace(group_, firsts, static_cast<int>(first - firsts.begin()), wire_);
    }
    return {};
  }

  // Times sums. One rank that finds them slow is enough.
  Result<bool> find_slow() {
    std::vector<float> numbers(kTrialNumbers);
    auto least = Clock::duration::max();
    for (int trial = 0; trial < kTrials; ++trial) {
      const Clock::time_point begin = Clock::now();
      HEARTH_RETURN_IF_ERROR(sum_now(numbers, {}));
      least = std::min(least, Clock::now() - begin);
    }
    return any(least > kSlowTrial);
  }

  // Whether a rank says yes.
  Result<bool> any(bool mine) {
    std::vector<std::byte> words(ranks_.size());
    std::vector<std::span<std::byte>> all;
    for (std::byte& word : words) all.emplace_back(&word, 1);
    const std::byte own{mine};
    HEARTH_RETURN_IF_ERROR(mail_.all_gather({&own, 1}, all));
    return std::find(words.begin(), words.end(), std::byte{1}) != words.end();
  }

  // Without a board on one host there is none on any.
  Result<void> make_board(const std::vector<int>& neighbours, Wire wire) {
    if (neighbours.size() > 1) {
      const auto own = std::find(neighbours.begin(), neighbours.end(), ranks_[rank_]);
      const int rank = static_cast<int>(own - neighbours.begin());
      HEARTH_TRY(board_, Board::make(group_, neighbours, rank, wire));
    }
    HEARTH_TRY(by_mail_, any(neighbours.size() > 1 && board_ == nullptr));
    return {};
  }

  // Whoever fails tells those who wait for its sum.
  Result<void> sum_by_hosts(std::span<float> data) {
    const Result<void> here = board_ == nullptr ? Result<void>() : board_->all_reduce(data, {});
    if (!here.ok()) {
      if (between_) between_->refuse();
      return here;
    }
    const Result<void> there = between_ ? between_->all_reduce(data, {}) : Result<void>();
    if (!there.ok()) {
      if (board_ != nullptr) board_->refuse();
      return there;
    }
    return board_ == nullptr ? Result<void>() : board_->share(data);
  }

  // Ranks that disagree no longer know what the other's next message is.
  Result<void> checked(const auto& call) {
    if (state_.ok()) {
      Result<void> result = call();
      if (result.ok() || result.error().code() != Code::kCorrupt) return result;
      state_ = std::move(result);
    }
    return state_;
  }

  Group& group_;
  const std::vector<int> ranks_;
  const int rank_;
  const Wire wire_;
  bool slow_;
  Mail mail_;
  bool met_ = false;              // the following have been found out
  bool by_mail_ = false;          // nobody shares memory
  bool one_host_ = false;         // all do
  std::unique_ptr<Board> board_;  // of this rank's host, unless it is there alone
  std::optional<Mail> between_;   // on the first rank of each of several hosts
  Result<void> state_;
};

}  // namespace

Result<std::unique_ptr<Collectives>> Collectives::create(Group& group, std::vector<int> ranks,
                                                         const TeamOptions& options) {
  const auto own = std::find(ranks.begin(), ranks.end(), group.rank());
  const bool ascending =
      std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal()) == ranks.end();
  if (own == ranks.end() || !ascending || ranks.front() < 0 || ranks.back() >= group.size()) {
    return Error(Code::kInvalidArgument,
                 "a team's ranks must ascend, exist, and have this rank among them");
  }
  const int rank = static_cast<int>(own - ranks.begin());
  return std::unique_ptr<Collectives>(new Team(group, std::move(ranks), rank, Wire(options.wire)));
}

}  // namespace hearth::fabric
