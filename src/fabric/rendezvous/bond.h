// What ties the ranks of a group together in life and death: one rank's failure is every rank's.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "fabric/transport.h"

namespace hearth::fabric {

// How long a rank that left in order is still heard out: what it sent last may arrive after its
// goodbye.
inline constexpr int kLeaveGraceMs = 300;

// One rank's end. Thread-safe. Destroying it tells the others that this rank leaves, unless it
// failed.
class Bond {
 public:
  virtual ~Bond() = default;

  // From the first failure on, `transport` is aborted with its message; at once if it was before.
  // `transport` outlives the bond.
  virtual void guard(Transport* transport) = 0;

  // Fails the group here and tells the other ranks why. The first failure stays.
  virtual void fail(const Error& error) = 0;
  // The first failure; ok while there is none. Cheap.
  virtual Result<void> status() const = 0;
  // Waits until there is a failure, at most `timeout_ms`; then as status().
  virtual Result<void> wait_for_failure(int timeout_ms) const = 0;
};

}  // namespace hearth::fabric
