// Small files that are written whole.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth {

// Writes `path` whole or not at all, also when the process is killed or power fails. Only the owner
// may read it. What an interrupted call left is overwritten by the next. One writer at a time.
// kPermissionDenied or kInternal name the file.
Result<void> write_private_file(const std::string& path, std::string_view text);

// The first `bytes_max` bytes of `path`, or all there are. kNotFound, kPermissionDenied or
// kInternal name the file.
Result<std::string> read_file(const std::string& path, size_t bytes_max);

}  // namespace hearth
