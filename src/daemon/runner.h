// The process that is one rank of an instance, seen from inside: what `hearth runner --socket PATH`
// does.
#pragma once

#include <string>

#include "base/result.h"

namespace hearth::daemon {

// Serves proto/runner.proto on a Unix socket at `socket_path` until Shutdown, or until stdin ends,
// which is how a runner notices that its parent has gone. kUnavailable when the socket cannot be
// made.
Result<void> run_runner(const std::string& socket_path);

}  // namespace hearth::daemon
