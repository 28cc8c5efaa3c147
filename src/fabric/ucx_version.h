// Whether ranks of this device can talk over UCX.
#pragma once

#include <string>

#include "base/result.h"

namespace hearth::fabric {

// "1.13.1". Loads UCX if nothing has yet: for programs that end soon. kUnavailable says why it
// cannot be loaded, kUnsupported that this build has none.
Result<std::string> ucx_version();

}  // namespace hearth::fabric
