#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

namespace hearth {
namespace {

Error system_error(std::string_view what, const std::string& path) {
  const int code = errno;
  return Error(code == ENOENT                    ? Code::kNotFound
               : code == EACCES || code == EROFS ? Code::kPermissionDenied
                                                 : Code::kInternal,
               fmt::format("{} {}: {}", what, path, std::strerror(code)));
}

Result<void> sync_and_close(int file, const std::string& path, bool written) {
  const bool synced = written && ::fsync(file) == 0;
  const int code = errno;
  ::close(file);
  errno = code;
  if (!synced) return system_error("writing", path);
  return {};
}

}  // namespace

// Temporary file, fsync, rename, fsync of the directory.
Result<void> write_private_file(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (file < 0) return system_error("creating", temporary);
  const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  HEARTH_RETURN_IF_ERROR(sync_and_close(file, temporary, written));
  if (::rename(temporary.c_str(), path.c_str()) != 0) return system_error("renaming", temporary);
  const std::string directory = std::filesystem::path(path).parent_path();
  const int folder = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return system_error("opening", directory);
  return sync_and_close(folder, directory, true);
}

Result<std::string> read_file(const std::string& path, size_t bytes_max) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return system_error("opening", path);
  std::string text(bytes_max, '\0');
  in.read(text.data(), static_cast<std::streamsize>(bytes_max));
  text.resize(static_cast<size_t>(in.gcount()));
  return text;
}

}  // namespace hearth
