// In place of UCX where the system has none.
#include "fabric/ucx/ucx_transport.h"
#include "fabric/ucx_version.h"

namespace hearth::fabric {

bool has_ucx() { return false; }

Result<std::string> ucx_version() {
  return Error(Code::kUnsupported, "this build of Hearth has no UCX");
}

Result<std::unique_ptr<Transport>> make_ucx_transport(UcxReach) {
  return Error(Code::kUnsupported, "this build of Hearth has no UCX; use the transport 'tcp'");
}

}  // namespace hearth::fabric
