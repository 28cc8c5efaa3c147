// Anonymous memory for weights, caches and scratch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"

namespace hearth::engine {

// Owns zeroed memory that starts at a page; from 2 MiB on, at a multiple of 2 MiB, in huge pages
// where the system has them (fewer misses of the address cache while weights stream through; Linux
// gives them under "madvise" and "always" of
// https://docs.kernel.org/admin-guide/mm/transhuge.html). A page takes room when it is first
// written, so an unused tail costs nothing. Movable.
class Buffer {
 public:
  Buffer() = default;
  // kResourceExhausted names the size. `bytes` == 0 gives an empty buffer.
  static Result<Buffer> allocate(int64_t bytes);

  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  ~Buffer();

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Buffer(std::byte* data, int64_t bytes) : data_(data), bytes_(bytes) {}

  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

// Bytes that this process could still fill without swapping: what the system calls available, and
// the room below the limit of the control group, if that is less. INT64_MAX when unknown.
int64_t available_memory();

}  // namespace hearth::engine
