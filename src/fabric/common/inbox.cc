#include "fabric/common/inbox.h"

#include <fmt/format.h>

#include <new>

namespace hearth::fabric {

Result<Message> Message::of_size(size_t bytes) {
  std::unique_ptr<std::byte[]> data(new (std::nothrow) std::byte[bytes]);
  if (data == nullptr) {
    return Error(Code::kResourceExhausted,
                 fmt::format("no memory for a message of {} bytes", bytes));
  }
  return Message{std::move(data), bytes};
}

Result<size_t> Message::copy_to(const Destination& into) const {
  HEARTH_TRY(std::byte * to, into.reserve(bytes));
  if (bytes > 0) std::memcpy(to, data.get(), bytes);
  return size_t{bytes};
}

void Inbox::add(Tag tag, Message message) {
  bytes_ += cost(message);
  messages_[tag].push_back(std::move(message));
}

std::optional<Message> Inbox::take(Tag tag) {
  const auto found = messages_.find(tag);
  if (found == messages_.end()) return std::nullopt;
  Message message = std::move(found->second.front());
  found->second.pop_front();
  if (found->second.empty()) messages_.erase(found);
  bytes_ -= cost(message);
  return message;
}

}  // namespace hearth::fabric
