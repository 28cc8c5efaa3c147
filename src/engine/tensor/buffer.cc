#include "engine/tensor/buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

#include "base/units.h"

namespace hearth::engine {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

// The first number in a file of /proc or /sys; kUnknown if there is none ("max").
int64_t read_number(const char* path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? number : kUnknown;
}

int64_t system_available() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::string rest;
  while (file >> key) {
    int64_t kib = 0;
    if (key == "MemAvailable:" && file >> kib) return kib * 1024;
    std::getline(file, rest);
  }
  return kUnknown;
}

int64_t control_group_available() {
  const int64_t limit = read_number("/sys/fs/cgroup/memory.max");
  const int64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit == kUnknown || used == kUnknown) return kUnknown;
  return std::max<int64_t>(0, limit - used);
}

}  // namespace

int64_t available_memory() { return std::min(system_available(), control_group_available()); }

Result<Buffer> Buffer::allocate(int64_t bytes) {
  if (bytes == 0) return Buffer();
  void* data = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) {
    return Error(Code::kResourceExhausted, "the system has no " + format_bytes(bytes) + " to give");
  }
  ::madvise(data, static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return Buffer(static_cast<std::byte*>(data), bytes);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() {
  if (data_ != nullptr) ::munmap(data_, static_cast<size_t>(bytes_));
}

}  // namespace hearth::engine
