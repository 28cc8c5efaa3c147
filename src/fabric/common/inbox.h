// Messages of one peer that have arrived and nobody has asked for yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "base/result.h"
#include "fabric/transport.h"

namespace hearth::fabric {

// Memory is not touched before bytes arrive, so that announcing a large message costs a peer's host
// little.
struct Message {
  std::unique_ptr<std::byte[]> data;
  size_t bytes = 0;

  // kResourceExhausted without memory.
  static Result<Message> of_size(size_t bytes);
  Result<size_t> copy_to(const Destination& into) const;
};

// Not thread-safe.
class Inbox {
 public:
  // Whether another message is taken; one then is, whatever its size.
  bool has_room() const { return bytes_ < kUnclaimedBytesMax; }
  void add(Tag tag, Message message);
  // The oldest of `tag`.
  std::optional<Message> take(Tag tag);

 private:
  static int64_t cost(const Message& message) {
    return static_cast<int64_t>(message.bytes) + kUnclaimedOverheadBytes;
  }

  std::map<Tag, std::deque<Message>> messages_;  // no empty queues
  int64_t bytes_ = 0;
};

}  // namespace hearth::fabric
