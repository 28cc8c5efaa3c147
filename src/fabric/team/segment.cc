#include "fabric/team/segment.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <random>

#include "fabric/rendezvous/socket.h"

namespace hearth::fabric {
namespace {

Error failed(const char* call, int error, Code code = Code::kUnavailable) {
  return Error(code, fmt::format("{}: {}", call, error_text(error)));
}

std::string new_name() {
  std::random_device random;
  return fmt::format("/hearth-{:08x}{:08x}", random(), random());
}

// Pages that cannot be had must be an error now: later they would be a SIGBUS.
int allocate(int fd, size_t bytes) {
#if defined(__linux__)
  return ::posix_fallocate(fd, 0, static_cast<off_t>(bytes));
#else
  return ::ftruncate(fd, static_cast<off_t>(bytes)) == 0 ? 0 : errno;
#endif
}

}  // namespace

Result<Segment> Segment::create(size_t bytes) {
  const std::string name = new_name();
  const int fd = ::shm_open(name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return failed("shm_open", errno);
  if (const int error = allocate(fd, bytes); error != 0) {
    ::close(fd);
    ::shm_unlink(name.c_str());
    return failed("shared memory", error, Code::kResourceExhausted);
  }
  Result<Segment> segment = map(name, fd, bytes);
  if (!segment.ok()) ::shm_unlink(name.c_str());
  return segment;
}

Result<Segment> Segment::open(const std::string& name, size_t bytes) {
  const int fd = ::shm_open(name.c_str(), O_RDWR, 0);
  if (fd < 0) return failed("shm_open", errno);
  return map(name, fd, bytes);
}

Result<Segment> Segment::map(const std::string& name, int fd, size_t bytes) {
  void* data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  const int error = errno;
  ::close(fd);
  if (data == MAP_FAILED) return failed("mmap", error);
  return Segment(name, static_cast<std::byte*>(data), bytes);
}

Segment::~Segment() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

void Segment::remove_name() const { ::shm_unlink(name_.c_str()); }

}  // namespace hearth::fabric
