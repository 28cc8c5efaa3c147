// One daemon per data directory.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"

namespace hearth::daemon {

// Held while it lives; the system releases it when the process dies, however it dies.
class DataDirLock {
 public:
  // Creates `directory` (for this user only) if there is none. kAlreadyExists names the process
  // that holds it; kPermissionDenied or kInternal when it cannot be written.
  static Result<DataDirLock> acquire(const std::string& directory);

  DataDirLock(DataDirLock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  DataDirLock& operator=(DataDirLock&&) = delete;
  ~DataDirLock();

 private:
  explicit DataDirLock(int file) : file_(file) {}
  int file_;
};

}  // namespace hearth::daemon
