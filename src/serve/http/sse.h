// Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html.
#pragma once

#include <string>
#include <string_view>

namespace hearth::serve {

// One event. `name` may be empty. `data` may have several lines.
std::string sse_event(std::string_view name, std::string_view data);

inline constexpr std::string_view kSseKeepAlive = ": keep-alive\n\n";

}  // namespace hearth::serve
