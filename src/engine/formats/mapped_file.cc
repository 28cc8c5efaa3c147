#include "engine/formats/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <utility>

namespace hearth::engine {

// One mapping as the signal handler sees it. Ranges are reused and never freed, so that the handler
// may walk their list at any time.
struct MappedRange {
  std::atomic<uintptr_t> begin{0};  // 0: not in use
  std::atomic<size_t> size{0};      // whole pages
  std::atomic<bool> cut{false};     // bytes were read that the file no longer has
  MappedRange* next = nullptr;
};

namespace {

std::atomic<MappedRange*> first_range{nullptr};
std::mutex ranges_mutex;  // of those who change the list
struct sigaction previous_action;
const auto page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));

// The kernel sends SIGBUS for a page behind the end of the mapped file. Zeros are put there, and
// the read goes on. Any other SIGBUS is for whoever was there before.
void on_bus_error(int number, siginfo_t* info, void* context) {
  const int saved_errno = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  for (MappedRange* range = first_range.load(); range != nullptr; range = range->next) {
    const uintptr_t begin = range->begin.load();
    if (begin == 0 || address < begin || address - begin >= range->size.load()) continue;
    void* page = reinterpret_cast<void*>(address / page_bytes * page_bytes);
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    if (::mmap(page, page_bytes, PROT_READ, flags, -1, 0) == MAP_FAILED) break;
    range->cut.store(true);
    errno = saved_errno;
    return;
  }
  errno = saved_errno;
  if ((previous_action.sa_flags & SA_SIGINFO) != 0) {
    previous_action.sa_sigaction(number, info, context);
  } else if (previous_action.sa_handler != SIG_DFL && previous_action.sa_handler != SIG_IGN) {
    previous_action.sa_handler(number);
  } else {
    ::sigaction(SIGBUS, &previous_action, nullptr);
    ::raise(number);  // delivered when this handler returns
  }
}

MappedRange* claim_range(void* address, size_t size) {
  static std::once_flag installed;
  std::call_once(installed, [] {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(SIGBUS, &action, &previous_action);
  });
  const std::lock_guard lock(ranges_mutex);
  MappedRange* range = first_range.load();
  while (range != nullptr && range->begin.load() != 0) range = range->next;
  if (range == nullptr) {
    range = new MappedRange;
    range->next = first_range.load();
    first_range.store(range);
  }
  range->cut.store(false);
  range->size.store((size + page_bytes - 1) / page_bytes * page_bytes);
  range->begin.store(reinterpret_cast<uintptr_t>(address));
  return range;
}

Error system_error(const std::string& path, int error) {
  const Code code = error == ENOENT || error == ENOTDIR ? Code::kNotFound
                    : error == EACCES || error == EPERM ? Code::kPermissionDenied
                                                        : Code::kInternal;
  return Error(code, path + ": " + std::strerror(error));
}

// Closes the descriptor at the end of the scope; the mapping outlives it.
struct Descriptor {
  int fd;
  ~Descriptor() { ::close(fd); }
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return system_error(path, errno);
  const Descriptor descriptor{fd};
  struct stat status {};
  if (::fstat(fd, &status) != 0) return system_error(path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error(Code::kInvalidArgument, path + ": not a regular file");
  }
  const auto size = static_cast<size_t>(status.st_size);
  if (size == 0) return MappedFile(path, {});
  void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  if (address == MAP_FAILED) return system_error(path, errno);
  MappedFile file(path, {static_cast<const std::byte*>(address), size});
  file.range_ = claim_range(address, size);
  return file;
}

MappedFile::MappedFile(std::string path, std::span<const std::byte> bytes)
    : path_(std::move(path)), bytes_(bytes) {}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      bytes_(std::exchange(other.bytes_, {})),
      range_(std::exchange(other.range_, nullptr)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(bytes_, other.bytes_);
  std::swap(range_, other.range_);
  return *this;
}

MappedFile::~MappedFile() {
  if (range_ != nullptr) range_->begin.store(0);
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

Result<void> MappedFile::check_intact() const {
  if (range_ == nullptr || !range_->cut.load()) return {};
  return Error(Code::kCorrupt, path_ + ": cut short while it was read, expected all of its " +
                                   std::to_string(bytes_.size()) + " bytes to stay");
}

void MappedFile::release(std::span<const std::byte> bytes) const {
  // One fault maps 64 KiB, or all of a large page of the system's cache.
  constexpr uintptr_t kAround = 2 << 20;
  const auto address = [](const std::byte* at) { return reinterpret_cast<uintptr_t>(at); };
  const uintptr_t file = address(bytes_.data());
  const uintptr_t file_end = address(bytes_.data() + bytes_.size());
  const uintptr_t begin = std::max(address(bytes.data()) / kAround * kAround, file);
  const uintptr_t around_end = address(bytes.data() + bytes.size()) / kAround * kAround + kAround;
  const uintptr_t end = std::min(around_end, file_end);
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::string_view MappedFile::text() const {
  return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
}

}  // namespace hearth::engine
