// Memory that processes of one host share. Private to team/.
#pragma once

#include <cstddef>
#include <string>
#include <utility>

#include "base/result.h"

namespace hearth::fabric {

// Owns a mapping, which stays when the name goes and when other processes do.
class Segment {
 public:
  // New zeros, page-aligned, under a name that cannot be guessed. kUnavailable or
  // kResourceExhausted with the system's words.
  static Result<Segment> create(size_t bytes);
  // What another process has created. kUnavailable when that is not so here.
  static Result<Segment> open(const std::string& name, size_t bytes);

  Segment() = default;
  Segment(Segment&& other) noexcept { *this = std::move(other); }
  Segment& operator=(Segment&& other) noexcept {
    std::swap(name_, other.name_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Segment();

  const std::string& name() const { return name_; }
  std::byte* data() const { return data_; }
  // From now on nobody else can open it. Only whoever created it need do so.
  void remove_name() const;

 private:
  Segment(std::string name, std::byte* data, size_t bytes)
      : name_(std::move(name)), data_(data), bytes_(bytes) {}
  static Result<Segment> map(const std::string& name, int fd, size_t bytes);

  std::string name_;
  std::byte* data_ = nullptr;
  size_t bytes_ = 0;
};

}  // namespace hearth::fabric
