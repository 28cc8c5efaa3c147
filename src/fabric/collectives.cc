#include "fabric/collectives.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "fabric/team/board.h"
#include "fabric/team/hosts.h"
#include "fabric/team/mail.h"

namespace hearth::fabric {
namespace {

class Team final : public Collectives {
 public:
  Team(Group& group, std::vector<int> ranks, int rank, Wire wire)
      : group_(group),
        ranks_(std::move(ranks)),
        rank_(rank),
        wire_(wire),
        mail_(group, ranks_, rank, wire) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }
  WirePrecision wire() const override { return wire_.precision(); }

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
    }
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

  // Without a board on one host there is none on any.
  Result<void> make_board(const std::vector<int>& neighbours, Wire wire) {
    if (neighbours.size() > 1) {
      const auto own = std::find(neighbours.begin(), neighbours.end(), ranks_[rank_]);
      const int rank = static_cast<int>(own - neighbours.begin());
      HEARTH_TRY(board_, Board::make(group_, neighbours, rank, wire));
    }
    std::vector<std::byte> have(ranks_.size());
    std::vector<std::span<std::byte>> all;
    for (std::byte& one : have) all.emplace_back(&one, 1);
    const std::byte mine{neighbours.size() == 1 || board_ != nullptr};
    HEARTH_RETURN_IF_ERROR(mail_.all_gather({&mine, 1}, all));
    by_mail_ = std::find(have.begin(), have.end(), std::byte{0}) != have.end();
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
