// Which ranks of a team share a host. Private to team/ and collectives.cc.
#pragma once

#include <vector>

#include "base/result.h"
#include "fabric/group.h"
#include "fabric/team/mail.h"

namespace hearth::fabric {

// Ranks in the team that share memory, each with all others of its host; hosts in the order of
// their first ranks.
using Hosts = std::vector<std::vector<int>>;

// Called by all of `ranks` alike, of which this is number `own`; the same on all of them.
Result<Hosts> find_hosts(const Group& group, const std::vector<int>& ranks, int own, Mail& mail);

}  // namespace hearth::fabric
