// A replicated document: the unit of the cluster's state. Plain data and pure functions.
//
//   device/<device id>      what a device says of itself; written by that device alone
//   runners/<device id>     the runners of a device; written by that device alone
//   instance/<instance id>  desired state and its plan; written by whoever creates or deletes it
//   and by the
//                           coordinator
//
// Two copies of a document are merged by dominance of their vector clocks; of two concurrent ones
// the winner is the maximum by (deleted, epoch, written_unix_ms, body), which every device computes
// alike. Each write keeps deleted and epoch from falling and moves written_unix_ms forward, so that
// this order extends the causal one and the order of merges does not matter: docs/protocols.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::cluster {

// Device id -> number of that device's last write.
using VectorClock = std::map<std::string, uint64_t>;

enum class Order { kEqual, kBefore, kAfter, kConcurrent };

// How `a` stands to `b`: kBefore when b has seen all of a.
Order compare(const VectorClock& a, const VectorClock& b);

struct Document {
  std::string key;
  VectorClock version;
  std::string body;  // JSON (state/bodies.h); empty when deleted
  bool deleted = false;
  int64_t epoch = 0;            // of an instance's plan; 0 for other documents
  int64_t written_unix_ms = 0;  // by the last writer's clock, but always after what it replaced

  size_t bytes() const;  // about what it takes in a message
  bool operator==(const Document&) const = default;
};

struct DocumentVersion {
  std::string key;
  VectorClock version;
};

enum class DocumentKind { kDevice, kRunners, kInstance };

struct DocumentKey {
  DocumentKind kind;
  std::string id;  // the device's or the instance's
};

// Nothing when the key is not one of the three kinds above.
std::optional<DocumentKey> parse_key(std::string_view key);

std::string device_key(std::string_view device_id);
std::string runners_key(std::string_view device_id);
std::string instance_key(std::string_view instance_id);

// Whether a document from a peer may be looked at: known kind, bounded sizes, and device-owned
// documents written by their owner alone. kInvalidArgument says what is wrong.
Result<void> check(const Document& document);

// Whether `a` beats `b` when neither version dominates.
bool wins(const Document& a, const Document& b);

}  // namespace hearth::cluster
