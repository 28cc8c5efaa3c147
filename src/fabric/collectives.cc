#include "fabric/collectives.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

namespace hearth::fabric {
namespace {

class Team final : public Collectives {
 public:
  Team(Group& group, std::vector<int> ranks, int rank)
      : group_(group), ranks_(std::move(ranks)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(ranks_.size()); }

  Result<void> all_reduce(std::span<float> data) override {
    if (size() == 1) return {};
    parts_.resize(size() * data.size());
    std::vector<std::span<std::byte>> parts(size());
    for (int r = 0; r < size(); ++r) {
      parts[r] = std::as_writable_bytes(std::span(parts_).subspan(r * data.size(), data.size()));
    }
    HEARTH_RETURN_IF_ERROR(all_gather(std::as_bytes(data), parts));
    std::copy_n(parts_.begin(), data.size(), data.begin());
    for (int r = 1; r < size(); ++r) {
      const float* part = parts_.data() + r * data.size();
      for (size_t i = 0; i < data.size(); ++i) data[i] += part[i];
    }
    return {};
  }

  Result<void> all_gather(std::span<const std::byte> own,
                          std::span<const std::span<std::byte>> all) override {
    for (int r = 0; r < size(); ++r) {
      if (r != rank_) HEARTH_RETURN_IF_ERROR(group_.send(ranks_[r], kTeamTag, own));
    }
    for (int r = 0; r < size(); ++r) {
      if (r == rank_) {
        std::memcpy(all[r].data(), own.data(), own.size());
        continue;
      }
      HEARTH_TRY(const size_t bytes, group_.recv(ranks_[r], kTeamTag, all[r]));
      if (bytes != all[r].size()) {
        return Error(Code::kCorrupt, "rank " + std::to_string(ranks_[r]) + " gave " +
                                         std::to_string(bytes) + " bytes of a sum where " +
                                         std::to_string(all[r].size()) + " were expected");
      }
    }
    return {};
  }

 private:
  Group& group_;
  const std::vector<int> ranks_;
  const int rank_;
  std::vector<float> parts_;  // [size][floats]
};

}  // namespace

Result<std::unique_ptr<Collectives>> Collectives::create(Group& group, std::vector<int> ranks) {
  const auto own = std::find(ranks.begin(), ranks.end(), group.rank());
  const bool ascending =
      std::adjacent_find(ranks.begin(), ranks.end(), std::greater_equal()) == ranks.end();
  if (own == ranks.end() || !ascending || ranks.front() < 0 || ranks.back() >= group.size()) {
    return Error(Code::kInvalidArgument,
                 "a team's ranks must ascend, exist, and have this rank among them");
  }
  const int rank = static_cast<int>(own - ranks.begin());
  return std::unique_ptr<Collectives>(new Team(group, std::move(ranks), rank));
}

}  // namespace hearth::fabric
