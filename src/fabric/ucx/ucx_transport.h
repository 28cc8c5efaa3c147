// The transport over UCX: RDMA where there is any, shared memory within a host, TCP elsewhere.
// Without UCX in the build, ucx/no_ucx.cc takes the place of the rest of this folder.
#pragma once

#include <memory>

#include "base/result.h"
#include "fabric/transport.h"

namespace hearth::fabric {

enum class UcxReach {
  kAnywhere,  // "ucx"
  kSameHost,  // "shm": shared memory only
};

// Whether this build has UCX.
bool has_ucx();

// kUnsupported without UCX in the build, kUnavailable when UCX cannot start here.
Result<std::unique_ptr<Transport>> make_ucx_transport(UcxReach reach);

}  // namespace hearth::fabric
