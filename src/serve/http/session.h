// One connection: reads requests, asks the router, writes answers.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>

#include "serve/http/browser_guard.h"
#include "serve/http/router.h"
#include "serve/server.h"

namespace hearth::serve {

// What sessions share; outlives them.
struct SessionContext {
  const Router& router;
  const BrowserGuard& guard;
  const Patience& patience;
};

class Session {
 public:
  virtual ~Session() = default;
  // Ends the connection soon, whatever it is at. Thread-safe.
  virtual void close() = 0;
};

// Serves HTTP/1.1 on `socket`, whose executor must be a strand, until the connection ends; then
// calls `ended`.
std::shared_ptr<Session> start_session(boost::asio::ip::tcp::socket socket,
                                       const SessionContext& context, std::function<void()> ended);

}  // namespace hearth::serve
