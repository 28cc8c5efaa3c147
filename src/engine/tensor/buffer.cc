#include "engine/tensor/buffer.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>
#include <string>
#include <utility>

#include "base/units.h"

namespace hearth::engine {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();
constexpr int64_t kHugePage = 2 << 20;

std::byte* map_anonymous(int64_t bytes) {
  void* data = ::mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return data == MAP_FAILED ? nullptr : static_cast<std::byte*>(data);
}

void unmap(std::byte* data, int64_t bytes) {
  if (bytes > 0) ::munmap(data, static_cast<size_t>(bytes));
}

// Mapped a huge page too long, then cut to what starts at a multiple of one.
std::byte* map_huge(int64_t bytes) {
  std::byte* data = map_anonymous(bytes + kHugePage);
  if (data == nullptr) return nullptr;
  const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(data) % kHugePage);
  const int64_t skip = past == 0 ? 0 : kHugePage - past;
  const auto page = static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
  const int64_t kept = (bytes + page - 1) / page * page;
  unmap(data, skip);
  unmap(data + skip + kept, kHugePage - skip);
#ifdef MADV_HUGEPAGE
  ::madvise(data + skip, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  return data + skip;
}

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
  std::byte* data = bytes < kHugePage ? map_anonymous(bytes) : map_huge(bytes);
  if (data == nullptr) {
    return Error(Code::kResourceExhausted, "the system has no " + format_bytes(bytes) + " to give");
  }
  return Buffer(data, bytes);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Buffer::~Buffer() { unmap(data_, bytes_); }

}  // namespace hearth::engine
