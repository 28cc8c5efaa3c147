// A whole file as read-only memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::engine {

// Owns the mapping; movable. The bytes stay valid until destruction, also across moves. Pages are
// read when touched. REQUIRES of the world: nobody truncates the file while it is mapped (the
// kernel answers a read past the new end with SIGBUS).
class MappedFile {
 public:
  // kNotFound, kPermissionDenied, kInvalidArgument (not a regular file) or kInternal; each names
  // the path.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  const std::string& path() const { return path_; }
  std::span<const std::byte> bytes() const { return bytes_; }
  std::string_view text() const;

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes);

  std::string path_;
  std::span<const std::byte> bytes_;
};

}  // namespace hearth::engine
