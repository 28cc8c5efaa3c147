// Sums over the ranks that hold slices of the same layers. Sums are made in the order of the ranks,
// whatever the way the numbers travel, so that every rank ends with the same bits.
//
//   HEARTH_TRY(auto team, fabric::Collectives::create(group, {2, 3}));  // on ranks 2 and 3
//   HEARTH_RETURN_IF_ERROR(team->all_reduce(partial));
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "fabric/group.h"

namespace hearth::fabric {

// Calls are made by one thread at a time, in the same order on every rank of the team; the group
// may be used for other messages in between. Every call returns what Group's calls return once the
// group has failed, and kCorrupt for a message that is not as long as the call is.
class Collectives {
 public:
  virtual ~Collectives() = default;

  // A team of `ranks` of the group, ascending, this one among them; kInvalidArgument otherwise. No
  // rank may be in two teams. A team of one is fine: its calls do nothing. `group` must outlive the
  // team.
  static Result<std::unique_ptr<Collectives>> create(Group& group, std::vector<int> ranks);

  virtual int rank() const = 0;  // in the team
  virtual int size() const = 0;

  // data[i] becomes data[i] of the team's first rank + that of the second + ..., in float32. The
  // same size on all ranks.
  virtual Result<void> all_reduce(std::span<float> data) = 0;

  // `all` becomes what every rank gives as `own`, in the order of ranks. Sizes may differ; all[r]
  // has the size of rank r's.
  virtual Result<void> all_gather(std::span<const std::byte> own,
                                  std::span<const std::span<std::byte>> all) = 0;
};

}  // namespace hearth::fabric
