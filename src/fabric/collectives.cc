#include "fabric/collectives.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

#include "fabric/team/board.h"
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

  Result<void> all_reduce(std::span<float> data) override {
    return checked([&] { return sum(data); });
  }

  Result<void> all_gather(std::span<const std::byte> own,
                          std::span<const std::span<std::byte>> all) override {
    return checked([&] { return mail_.all_gather(own, all); });
  }

 private:
  Result<void> sum(std::span<float> data) {
    if (size() == 1) return {};
    if (!met_) {
      HEARTH_TRY(board_, Board::make(group_, ranks_, rank_, wire_));
      met_ = true;
    }
    return board_ == nullptr ? mail_.all_reduce(data) : board_->all_reduce(data);
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
  std::unique_ptr<Board> board_;
  bool met_ = false;  // whether there is a board has been found out
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
