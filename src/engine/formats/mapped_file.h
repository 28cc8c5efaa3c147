// A whole file as read-only memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace hearth::engine {

struct MappedRange;

// Owns the mapping; movable. The bytes stay valid until destruction, also across moves. Pages are
// read when touched. A file that gets shorter while it is mapped costs an error, not the process:
// its lost bytes read as zero from then on (the kernel's SIGBUS is caught), and check_intact() says
// so. Whoever keeps what it read asks that first.
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

  // Gives the memory behind some of the bytes back to the system, with what its page faults may
  // have mapped around them; the next read brings them back. Bytes that are not the file's stay.
  void release(std::span<const std::byte> bytes) const;

  // kCorrupt, naming file and size, if bytes were read that the file no longer has.
  Result<void> check_intact() const;

 private:
  MappedFile(std::string path, std::span<const std::byte> bytes);

  std::string path_;
  std::span<const std::byte> bytes_;
  MappedRange* range_ = nullptr;  // what the signal handler knows of it
};

}  // namespace hearth::engine
