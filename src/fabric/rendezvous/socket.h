// TCP sockets as values: everything here is non-blocking and closes itself.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace hearth::fabric {

// Owns a file descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() { close(); }

  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void close();

 private:
  int fd_ = -1;
};

// Wakes a poll() from another thread, once and for good. Thread-safe.
class Alarm {
 public:
  static Result<Alarm> make();

  void ring() const;
  // Readable from the first ring() on.
  int fd() const { return read_.fd(); }

 private:
  Socket read_, write_;
};

struct HostPort {
  std::string host;
  int port = 0;
};

// "10.0.0.2:4711", "[fd00::2]:4711", "attic:4711". kInvalidArgument otherwise.
Result<HostPort> parse_host_port(std::string_view text);

// A socket address as the system takes it.
struct Endpoint {
  sockaddr_storage address{};
  socklen_t bytes = 0;
};

// The addresses of `host` (IPv4, IPv6 or name), in the system's order of preference. May ask DNS
// and then blocks. An empty host is every interface. kUnavailable when the name has no address.
Result<std::vector<Endpoint>> resolve(const std::string& host, int port);

// Listens at an ephemeral port of `host`; an empty host is every interface, IPv6 and IPv4.
Result<Socket> listen_at(const std::string& host);
// Accepts a waiting connection; an empty Socket when there is none.
Socket accept_from(const Socket& listener);
// Begins to connect; poll for POLLOUT, then ask connect_error. kUnavailable when refused at once.
Result<Socket> start_connect(const Endpoint& endpoint);
// 0, or the errno with which connecting failed.
int connect_error(const Socket& socket);

// The numeric address of this or the other side, empty when unknown; local_port is 0 then.
std::string local_host(const Socket& socket);
std::string peer_host(const Socket& socket);
int local_port(const Socket& socket);

// Writes what the socket takes now. Bytes written (0: would block), or the negative errno.
long write_some(const Socket& socket, std::string_view bytes);
long write_some(const Socket& socket, std::span<iovec> parts);
// Reads what has arrived. Bytes read, 0 at the end of the stream, or the negative errno (-EAGAIN:
// nothing).
long read_some(const Socket& socket, void* data, size_t bytes);

// Fixes the size of the send buffer, which the system otherwise grows as it finds fit.
void fix_send_buffer(const Socket& socket, int bytes);

// Whether the other side's system has all that was written. Also true when that cannot be known.
bool all_delivered(const Socket& socket);

// The system's words for an errno: "Connection refused". Thread-safe.
std::string error_text(int error);

}  // namespace hearth::fabric
