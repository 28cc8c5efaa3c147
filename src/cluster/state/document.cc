#include "cluster/state/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/limits.h"

namespace hearth::cluster {
namespace {

// Counters and times beyond this are hostile: they would overflow soon, or not survive JSON.
constexpr int64_t kNumberMax = int64_t{1} << 53;
constexpr size_t kDeviceIdDigits = 64;
constexpr size_t kInstanceIdDigits = 16;

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool in_range(int64_t number) { return number >= 0 && number <= kNumberMax; }

}  // namespace

Order compare(const VectorClock& a, const VectorClock& b) {
  bool a_newer = false;
  bool b_newer = false;
  for (const auto& [device, count] : a) {
    const auto other = b.find(device);
    const uint64_t other_count = other == b.end() ? 0 : other->second;
    a_newer |= count > other_count;
    b_newer |= count < other_count;
  }
  for (const auto& [device, count] : b) b_newer |= count > 0 && !a.contains(device);
  if (a_newer && b_newer) return Order::kConcurrent;
  if (a_newer) return Order::kAfter;
  return b_newer ? Order::kBefore : Order::kEqual;
}

size_t Document::bytes() const { return key.size() + body.size() + version.size() * 80 + 64; }

std::optional<DocumentKey> parse_key(std::string_view key) {
  const size_t slash = key.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view kind = key.substr(0, slash);
  const std::string_view id = key.substr(slash + 1);
  if (kind == "device" && is_hex(id, kDeviceIdDigits)) {
    return DocumentKey{DocumentKind::kDevice, std::string(id)};
  }
  if (kind == "runners" && is_hex(id, kDeviceIdDigits)) {
    return DocumentKey{DocumentKind::kRunners, std::string(id)};
  }
  if (kind == "instance" && is_hex(id, kInstanceIdDigits)) {
    return DocumentKey{DocumentKind::kInstance, std::string(id)};
  }
  return std::nullopt;
}

std::string device_key(std::string_view device_id) { return fmt::format("device/{}", device_id); }
std::string runners_key(std::string_view device_id) { return fmt::format("runners/{}", device_id); }
std::string instance_key(std::string_view instance_id) {
  return fmt::format("instance/{}", instance_id);
}

Result<void> check(const Document& document) {
  const auto refuse = [&document](std::string_view why) {
    return Error(Code::kInvalidArgument, fmt::format("document '{:.80}': {}", document.key, why));
  };
  const auto key = parse_key(document.key);
  if (!key) return refuse("unknown kind of key");
  if (document.body.size() > static_cast<size_t>(limits::kDocumentBytesMax)) {
    return refuse("too big");
  }
  if (document.version.empty() || document.version.size() > limits::kDevicesMax) {
    return refuse("a version with no or too many writers");
  }
  for (const auto& [device, count] : document.version) {
    if (!is_hex(device, kDeviceIdDigits) || count == 0 ||
        count > static_cast<uint64_t>(kNumberMax)) {
      return refuse("an impossible version");
    }
  }
  if (!in_range(document.epoch) || !in_range(document.written_unix_ms)) {
    return refuse("an impossible epoch or time");
  }
  if (document.deleted && !document.body.empty()) return refuse("deleted, but with a body");
  if (key->kind != DocumentKind::kInstance &&
      (document.deleted || document.version.size() != 1 || !document.version.contains(key->id))) {
    return refuse("not written by the device it is about");
  }
  return {};
}

bool wins(const Document& a, const Document& b) {
  return std::tie(a.deleted, a.epoch, a.written_unix_ms, a.body) >
         std::tie(b.deleted, b.epoch, b.written_unix_ms, b.body);
}

}  // namespace hearth::cluster
