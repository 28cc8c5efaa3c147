// Identifiers that cannot be mixed up: a DeviceId is not an InstanceId, although both are text.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <utility>

namespace hearth {

// Text with a type. Empty means "none". Ordered and hashable; every device orders ids alike.
template <class Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text) : text_(std::move(text)) {}

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }
  // The first eight characters: enough for people.
  std::string brief() const { return text_.substr(0, 8); }

  auto operator<=>(const Id&) const = default;

 private:
  std::string text_;
};

using DeviceId = Id<struct DeviceTag>;      // SHA-256 of the device's certificate, 64 hex digits
using InstanceId = Id<struct InstanceTag>;  // 16 hex digits
using RequestId = Id<struct RequestTag>;    // 16 hex digits

// `bytes` random bytes from the system's generator, in lower-case hex.
std::string random_hex(int bytes);

}  // namespace hearth

template <class Tag>
struct std::hash<hearth::Id<Tag>> {
  size_t operator()(const hearth::Id<Tag>& id) const { return std::hash<std::string>()(id.str()); }
};
