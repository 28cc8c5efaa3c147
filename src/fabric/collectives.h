// Sums over the ranks that hold slices of the same layers, in one order on all of them, so that
// every rank ends with the same bits.
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

// As what numbers travel between ranks, or between hosts. Every rank adds the same rounded numbers,
// its own too, so that all ranks end with the same bits whatever the precision.
enum class WirePrecision {
  kF32,   // 4 bytes, exact
  kBf16,  // 2 bytes: a number errs by at most 2^-8 of itself
  kQ8,    // 1.125 bytes: by at most 1/254 of the largest of 32 neighbours (counted from the first)
};

struct TeamOptions {
  WirePrecision wire = WirePrecision::kF32;  // the same on all ranks
};

// Ranks that all share memory add in it (team/board.h), ranks that share none send messages
// (team/mail.h). The sums are the same: data[i] is ((part 0 + part 1) + part 2) + ..., in float32.
// Where some share memory, each host adds its parts so, exactly; then the first ranks of the hosts
// add the hosts' sums, in the order of these ranks, and hand the result to their neighbours. So
// which ranks share a host may show in the last bits of a sum, and nothing else does: not the
// number of numbers, nor the transport, nor time.
//
// Calls are made by one thread at a time, in the same order on every rank of the team; the group
// may be used for other messages in between. Every call returns what Group's calls return once the
// group has failed, and kCorrupt where ranks call with different sizes; a team to which this has
// happened returns it ever after.
class Collectives {
 public:
  virtual ~Collectives() = default;

  // A team of `ranks` of the group, ascending, this one among them; kInvalidArgument otherwise. No
  // rank may be in two teams. A team of one is fine: its calls do nothing. `group` must outlive the
  // team. Ranks do not wait for each other here.
  static Result<std::unique_ptr<Collectives>> create(Group& group, std::vector<int> ranks,
                                                     const TeamOptions& options = {});

  virtual int rank() const = 0;  // in the team
  virtual int size() const = 0;
  // Whether long sums take so long that it pays to compute meanwhile: where numbers are rounded,
  // else as it was measured with the first sum, before which nothing is slow. The same on all
  // ranks.
  virtual bool slow() const = 0;

  // data[i] becomes data[i] of the team's first rank + that of the second + ..., each rounded to
  // the wire's precision, in float32; with several hosts, of which one has several ranks, the
  // hosts' sums are what is rounded. The same size on all ranks.
  virtual Result<void> all_reduce(std::span<float> data) = 0;

  // to[i] becomes to[i] + what all_reduce() makes of data[i], to the bit, in one sweep where a sum
  // is made at once. `data` is undefined after it. The same size of both, on all ranks.
  virtual Result<void> all_reduce_onto(std::span<float> data, std::span<float> to) = 0;

  // `all` becomes what every rank gives as `own`, in the order of ranks. Sizes may differ; all[r]
  // has the size of rank r's.
  virtual Result<void> all_gather(std::span<const std::byte> own,
                                  std::span<const std::span<std::byte>> all) = 0;
};

}  // namespace hearth::fabric
