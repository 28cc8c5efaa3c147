#include "serve/http/sse.h"

#include <algorithm>

namespace hearth::serve {

std::string sse_event(std::string_view name, std::string_view data) {
  std::string event;
  event.reserve(data.size() + name.size() + 24);
  if (!name.empty()) event.append("event: ").append(name).append("\n");
  while (true) {
    const size_t end = std::min(data.find_first_of("\r\n"), data.size());
    event.append("data: ").append(data.substr(0, end)).append("\n");
    if (end == data.size()) break;
    data.remove_prefix(data.substr(end).starts_with("\r\n") ? end + 2 : end + 1);
  }
  return event + "\n";
}

}  // namespace hearth::serve
