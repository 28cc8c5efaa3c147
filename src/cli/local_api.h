// The HTTP API of the daemon on this machine: docs/http.md.
#pragma once

#include <string>

#include "base/result.h"

namespace hearth::cli {

// The body of GET http://127.0.0.1:PORT/PATH. kUnavailable says how to start a daemon when none
// answers, kInvalidArgument what it refuses.
Result<std::string> get_from_daemon(int port, const std::string& path);

}  // namespace hearth::cli
