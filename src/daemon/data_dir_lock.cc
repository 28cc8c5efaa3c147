#include "daemon/data_dir_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

namespace hearth::daemon {
namespace {

Error cannot(const std::string& what, const std::string& path, int error) {
  return Error(error == EACCES || error == EROFS ? Code::kPermissionDenied : Code::kInternal,
               fmt::format("cannot {} {}: {}; choose another with --data-dir", what, path,
                           std::strerror(error)));
}

std::string holder(int file) {
  char text[32] = {};
  const ssize_t size = pread(file, text, sizeof(text) - 1, 0);
  const std::string pid(text, size > 0 ? static_cast<size_t>(size) : 0);
  return pid.empty() ? "another process" : "process " + pid.substr(0, pid.find('\n'));
}

}  // namespace

Result<DataDirLock> DataDirLock::acquire(const std::string& directory) {
  std::error_code failed;
  const bool created = std::filesystem::create_directories(directory, failed);
  if (failed) return cannot("create", directory, failed.value());
  if (created && chmod(directory.c_str(), 0700) != 0) return cannot("protect", directory, errno);

  const std::string path = directory + "/lock";
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return cannot("write", path, errno);
  DataDirLock lock(file);
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return cannot("lock", path, errno);
    return Error(Code::kAlreadyExists,
                 fmt::format("{} already runs hearth with the data directory {}; stop it, or start "
                             "a second device with another --data-dir and --port",
                             holder(file), directory));
  }
  const std::string pid = std::to_string(getpid()) + "\n";
  if (ftruncate(file, 0) != 0 ||
      pwrite(file, pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return cannot("write", path, errno);
  }
  return lock;
}

DataDirLock::~DataDirLock() {
  if (file_ >= 0) close(file_);
}

}  // namespace hearth::daemon
