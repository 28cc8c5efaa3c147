// Accepts connections and keeps their sessions, until it is closed.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "serve/http/session.h"

namespace hearth::serve {

class Listener {
 public:
  // Closes every connection and waits until the last session has ended.
  virtual ~Listener() = default;
  virtual int port() const = 0;

  // Listens on its own `threads` threads. What `context` refers to must outlive the listener.
  static Result<std::unique_ptr<Listener>> start(const std::string& address, int port, int threads,
                                                 const SessionContext& context);
};

}  // namespace hearth::serve
