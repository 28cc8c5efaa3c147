#include "fabric/rendezvous/socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/sockios.h>
#include <sys/ioctl.h>
#endif

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <system_error>

namespace hearth::fabric {
namespace {

#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;
#else
constexpr int kSendFlags = 0;  // SO_NOSIGPIPE below
#endif

void set_flag(int fd, int level, int name) {
  const int on = 1;
  ::setsockopt(fd, level, name, &on, sizeof on);
}

// Non-blocking, not inherited by child processes, no SIGPIPE.
void prepare(int fd) {
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
  set_flag(fd, SOL_SOCKET, SO_NOSIGPIPE);
#endif
}

// Messages between ranks are small and urgent. Buffer sizes stay the system's: it grows them with
// the link's bandwidth and delay, which fixing them would switch off.
void prepare_stream(int fd) {
  prepare(fd);
  set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
}

Socket open_socket(int family) {
#ifdef SOCK_CLOEXEC
  return Socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
#else
  return Socket(::socket(family, SOCK_STREAM, 0));
#endif
}

std::string numeric_host(const sockaddr_storage& address, socklen_t bytes) {
  char host[NI_MAXHOST];
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), bytes, host, sizeof host, nullptr,
                    0, NI_NUMERICHOST) != 0) {
    return {};
  }
  // A dual-stack listener sees IPv4 peers as ::ffff:10.0.0.2.
  const std::string_view text(host);
  constexpr std::string_view kMapped = "::ffff:";
  const bool mapped = text.starts_with(kMapped) && text.find('.') != std::string_view::npos;
  return std::string(mapped ? text.substr(kMapped.size()) : text);
}

Result<Socket> listen_at(const Endpoint& endpoint) {
  const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
  Socket socket = open_socket(address->sa_family);
  if (!socket) return Error(Code::kUnavailable, error_text(errno));
  prepare(socket.fd());
  if (address->sa_family == AF_INET6) {
    const int off = 0;
    ::setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (::bind(socket.fd(), address, endpoint.bytes) != 0 || ::listen(socket.fd(), 128) != 0) {
    return Error(Code::kUnavailable, error_text(errno));
  }
  return socket;
}

}  // namespace

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<Alarm> Alarm::make() {
  int fds[2];
  if (::pipe(fds) != 0) return Error(Code::kResourceExhausted, "pipe: " + error_text(errno));
  Alarm alarm;
  alarm.read_ = Socket(fds[0]);
  alarm.write_ = Socket(fds[1]);
  prepare(fds[0]);
  prepare(fds[1]);
  return alarm;
}

void Alarm::ring() const {
  // Nobody reads, so the pipe stays readable; a full pipe has been rung before.
  [[maybe_unused]] const auto written = ::write(write_.fd(), "!", 1);
}

Result<HostPort> parse_host_port(std::string_view text) {
  const auto bad = [&] {
    return Error(Code::kInvalidArgument, fmt::format("'{}' is not host:port", text));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad();
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(colon + 1);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return bad();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad();
  }
  int port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size() || port < 1 || port > 65535) {
    return bad();
  }
  return HostPort{std::string(host), port};
}

Result<std::vector<Endpoint>> resolve(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (host.empty() ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                  std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    return Error(Code::kUnavailable, fmt::format("'{}': {}", host, ::gai_strerror(error)));
  }
  std::vector<Endpoint> endpoints;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    if (at->ai_addrlen > sizeof(sockaddr_storage)) continue;
    Endpoint& endpoint = endpoints.emplace_back();
    std::copy_n(reinterpret_cast<const char*>(at->ai_addr), at->ai_addrlen,
                reinterpret_cast<char*>(&endpoint.address));
    endpoint.bytes = at->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return endpoints;
}

Result<Socket> listen_at(const std::string& host) {
  HEARTH_TRY(std::vector<Endpoint> endpoints, resolve(host, 0));
  // "Every interface" lists 0.0.0.0 and ::; the latter takes IPv4 as well, where IPv6 exists.
  if (host.empty()) {
    std::stable_partition(endpoints.begin(), endpoints.end(), [](const Endpoint& endpoint) {
      return endpoint.address.ss_family == AF_INET6;
    });
  }
  Error error(Code::kUnavailable, "no address");
  for (const Endpoint& endpoint : endpoints) {
    Result<Socket> socket = listen_at(endpoint);
    if (socket.ok()) return socket;
    error = socket.error();
  }
  return error.context(fmt::format("listening at '{}'", host));
}

Socket accept_from(const Socket& listener) {
#ifdef SOCK_CLOEXEC
  Socket socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC));
#else
  Socket socket(::accept(listener.fd(), nullptr, nullptr));
#endif
  if (socket) prepare_stream(socket.fd());
  return socket;
}

Result<Socket> start_connect(const Endpoint& endpoint) {
  Socket socket = open_socket(endpoint.address.ss_family);
  if (!socket) return Error(Code::kUnavailable, error_text(errno));
  prepare_stream(socket.fd());
  const auto* address = reinterpret_cast<const sockaddr*>(&endpoint.address);
  if (::connect(socket.fd(), address, endpoint.bytes) != 0 && errno != EINPROGRESS) {
    return Error(Code::kUnavailable, error_text(errno));
  }
  return socket;
}

int connect_error(const Socket& socket) {
  int error = 0;
  socklen_t bytes = sizeof error;
  return ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 ? error : errno;
}

std::string local_host(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return {};
  return numeric_host(address, bytes);
}

std::string peer_host(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (::getpeername(socket.fd(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return {};
  return numeric_host(address, bytes);
}

int local_port(const Socket& socket) {
  sockaddr_storage address{};
  socklen_t bytes = sizeof address;
  if (::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return 0;
  if (address.ss_family == AF_INET6) {
    return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  }
  return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

long write_some(const Socket& socket, std::string_view bytes) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  return write_some(socket, std::span(&part, 1));
}

long write_some(const Socket& socket, std::span<iovec> parts) {
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  const ssize_t written = ::sendmsg(socket.fd(), &message, kSendFlags);
  if (written >= 0) return written;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? 0 : -errno;
}

long read_some(const Socket& socket, void* data, size_t bytes) {
  const ssize_t got = ::recv(socket.fd(), data, bytes, 0);
  if (got >= 0) return got;
  return errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
}

void fix_send_buffer(const Socket& socket, int bytes) {
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

bool all_delivered(const Socket& socket) {
  int waiting = 0;
#if defined(__linux__)
  return ::ioctl(socket.fd(), SIOCOUTQ, &waiting) != 0 || waiting == 0;
#elif defined(SO_NWRITE)
  socklen_t bytes = sizeof waiting;
  return ::getsockopt(socket.fd(), SOL_SOCKET, SO_NWRITE, &waiting, &bytes) != 0 || waiting == 0;
#else
  return waiting == 0;
#endif
}

std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace hearth::fabric
