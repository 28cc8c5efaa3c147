// What web pages may do: docs/http.md, "Requests from web pages".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/http/message.h"

namespace hearth::serve {

// Why a request must be refused, or nothing. Requests that no browser sent are not affected.
class BrowserGuard {
 public:
  // `names`: those of this device, besides the ones that only a local network can have.
  explicit BrowserGuard(std::vector<std::string> names);

  std::optional<std::string> refusal(const Request& request) const;

 private:
  bool knows(std::string_view host) const;

  std::vector<std::string> names_;  // lower case
};

}  // namespace hearth::serve
