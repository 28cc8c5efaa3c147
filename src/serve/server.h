// The HTTP server of a device: API and dashboard on one port. Start here.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::serve {

class Backend;

// How long the server waits for its clients before it closes their connections.
struct Patience {
  std::chrono::milliseconds header = std::chrono::seconds(60);  // for a request's whole header
  std::chrono::milliseconds body = std::chrono::seconds(300);   // for its whole body
  std::chrono::milliseconds write = std::chrono::seconds(30);   // for a client to take one write
  std::chrono::milliseconds linger = std::chrono::seconds(5);   // for a refused body to end
};

struct ServerOptions {
  std::string listen = "127.0.0.1";  // address to bind; "0.0.0.0" or "::" for every interface
  int port = 52415;                  // 0: any free port
  int threads = 2;
  std::string version;
  // Further names that browsers may reach this device by, besides IP addresses, localhost, the
  // machine's own name and names that only a local network has (single words, .local, .lan,
  // .home.arpa, .internal).
  std::vector<std::string> names;
  std::chrono::milliseconds stream_keep_alive =
      std::chrono::seconds(5);  // between comments in chat streams
  std::chrono::milliseconds events_keep_alive =
      std::chrono::seconds(15);  // between comments in /events
  std::chrono::milliseconds events_interval =
      std::chrono::milliseconds(250);  // between states, at least
  Patience patience;
};

// Runs on its own threads from start() until destroyed; destruction closes connections and waits
// for requests at work to be cancelled. Thread-safe.
class Server {
 public:
  virtual ~Server() = default;
  // `backend` must outlive the server. kAlreadyExists when the port is taken, kInvalidArgument for
  // an address that is none of this machine's, both with what to do about it.
  static Result<std::unique_ptr<Server>> start(Backend& backend, const ServerOptions& options);
  virtual int port() const = 0;
};

}  // namespace hearth::serve
