// The HTTP server of a device: API and dashboard on one port. Start here.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

namespace hearth::serve {

class Backend;

struct ServerOptions {
  std::string listen = "127.0.0.1";  // address to bind; "0.0.0.0" or "::" for every interface
  int port = 52415;                  // 0: any free port
  int threads = 1;
  std::string version;
};

// Runs on its own threads from start() until destroyed; destruction closes connections and waits.
// Thread-safe.
class Server {
 public:
  virtual ~Server() = default;
  // `backend` must outlive the server. kAlreadyExists when the port is taken, with what to do about
  // it.
  static Result<std::unique_ptr<Server>> start(Backend& backend, const ServerOptions& options);
  virtual int port() const = 0;
};

}  // namespace hearth::serve
