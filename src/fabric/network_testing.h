// Ranks on machines of a local network, for tests: each a thread of this process in a network
// namespace of its own, joined by a bridge in another.
#pragma once

#include <functional>
#include <string>

#include "fabric/group.h"

namespace hearth::fabric::testing {

// Of which network /sys tells on the machines.
enum class Sysfs { kOwn, kOfAnother };

// What joins the machines.
class Bridge {
 public:
  // From now on packets from and to the machine of `rank` vanish, while every link stays up.
  void lose_packets_of(int rank) const;
};

// Runs `body(group)` on `size` machines at once, with one rank of a group over `transport` on each,
// and, once all have joined, `meanwhile` beside them; waits for all. The test fails when a rank
// cannot join. False, with a line that says so, where the system refuses namespaces: nothing has
// run then.
bool on_machines(int size, const std::string& transport, Sysfs sysfs,
                 const std::function<void(Group&)>& body,
                 const std::function<void(const Bridge&)>& meanwhile = nullptr);

}  // namespace hearth::fabric::testing
