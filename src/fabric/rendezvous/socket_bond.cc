#include "fabric/rendezvous/socket_bond.h"

#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace hearth::fabric {
namespace {

using namespace std::chrono_literals;

constexpr auto kBeatEvery = 500ms;
constexpr std::chrono::milliseconds kSilenceMax = 1500ms;
constexpr auto kLeaveGrace = std::chrono::milliseconds(kLeaveGraceMs);

enum Frame : uint8_t { kBeat = 1, kAddress = 2, kFail = 3, kLeave = 4 };

std::string framed(Frame type, std::string_view body) {
  std::string bytes = {static_cast<char>(type), static_cast<char>(body.size() & 0xff),
                       static_cast<char>(body.size() >> 8)};
  return bytes.append(body);
}

// A peer's words, fit for one line of a log.
std::string printable(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  return line;
}

// Signals are for the program's own threads.
std::thread quiet_thread(auto body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(body);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

SocketBond::SocketBond(int rank, std::vector<Socket> sockets, std::vector<std::string> addresses,
                       Alarm alarm)
    : rank_(rank),
      addresses_(std::move(addresses)),
      alarm_(std::move(alarm)),
      peers_(sockets.size()) {
  for (size_t i = 0; i < sockets.size(); ++i) peers_[i].socket = std::move(sockets[i]);
}

Result<std::unique_ptr<SocketBond>> SocketBond::make(int rank, std::vector<Socket> sockets,
                                                     std::vector<std::string> addresses) {
  HEARTH_TRY(Alarm alarm, Alarm::make());
  std::unique_ptr<SocketBond> bond(
      new SocketBond(rank, std::move(sockets), std::move(addresses), std::move(alarm)));
  bond->thread_ = quiet_thread([raw = bond.get()] { raw->run(); });
  return bond;
}

SocketBond::~SocketBond() {
  {
    std::lock_guard lock(mutex_);
    leaving_ = true;
    if (!failed_) {
      for (Peer& peer : peers_) {
        if (!peer.socket) continue;
        post(&peer, {"\x04", 1});
        ::shutdown(peer.socket.fd(), SHUT_WR);
      }
    }
  }
  alarm_.ring();
  thread_.join();
}

Result<std::vector<std::string>> SocketBond::exchange(const std::string& mine,
                                                      Clock::time_point deadline) {
  HEARTH_CHECK(mine.size() <= kAddressBytesMax);
  std::unique_lock lock(mutex_);
  for (Peer& peer : peers_) {
    if (peer.socket) post(&peer, framed(kAddress, mine));
  }
  const auto missing = [this] {
    return std::find_if(peers_.begin(), peers_.end(),
                        [](const Peer& peer) { return peer.socket && !peer.has_address; });
  };
  const bool complete =
      changed_.wait_until(lock, deadline, [&] { return failed_ || missing() == peers_.end(); });
  HEARTH_RETURN_IF_ERROR(Result<void>(status_));
  if (!complete) {
    const int rank = static_cast<int>(missing() - peers_.begin());
    return Error(Code::kDeadlineExceeded, name(rank) + " did not finish joining in time");
  }
  std::vector<std::string> addresses;
  for (Peer& peer : peers_) addresses.push_back(std::move(peer.address));
  return addresses;
}

void SocketBond::guard(Transport* transport) {
  std::lock_guard lock(mutex_);
  transport_ = transport;
  if (failed_) transport_->abort(status_.error().message());
}

void SocketBond::fail(const Error& error) {
  std::lock_guard lock(mutex_);
  declare(error);
}

Result<void> SocketBond::status() const {
  if (!failed_.load(std::memory_order_relaxed)) return {};
  std::lock_guard lock(mutex_);
  return status_;
}

Result<void> SocketBond::wait_for_failure(int timeout_ms) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms), [this] { return failed_.load(); });
  return status_;
}

void SocketBond::run() {
  auto next_beat = Clock::now();
  while (true) {
    if (const auto now = Clock::now(); now >= next_beat) {
      beat();
      next_beat = now + kBeatEvery;
    }
    wait(next_beat);
    std::lock_guard lock(mutex_);
    if (leaving_ || failed_) return;
    // Everything that arrived is heard before silence is judged: this process may have been stopped
    // itself.
    for (size_t rank = 0; rank < peers_.size(); ++rank) {
      if (peers_[rank].socket) hear(static_cast<int>(rank));
    }
    judge(Clock::now());
    if (failed_) return;
  }
}

void SocketBond::wait(Clock::time_point until) {
  std::vector<pollfd> fds = {{.fd = alarm_.fd(), .events = POLLIN}};
  {
    std::lock_guard lock(mutex_);
    for (const Peer& peer : peers_) {
      if (peer.heard)
        until = std::min(until, peer.heard_at + (peer.left ? kLeaveGrace : kSilenceMax));
      if (!peer.socket || peer.left) continue;
      const short events = peer.outgoing.empty() ? POLLIN : POLLIN | POLLOUT;
      fds.push_back({.fd = peer.socket.fd(), .events = events});
    }
  }
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  ::poll(fds.data(), fds.size(), std::max<int>(static_cast<int>(wait.count()), 0));
}

void SocketBond::hear(int rank) {
  Peer& peer = peers_[rank];
  flush(&peer);
  while (!peer.left && !failed_) {
    std::array<char, 4096> bytes;
    const long got = read_some(peer.socket, bytes.data(), bytes.size());
    if (got == -EAGAIN) return;
    if (got <= 0) {
      const std::string why = got == 0 ? "connection closed" : error_text(static_cast<int>(-got));
      return declare(Error(Code::kUnavailable, name(rank) + " died: " + why));
    }
    peer.heard = true;
    peer.heard_at = Clock::now();
    peer.incoming.append(bytes.data(), got);
    parse(rank);
  }
}

void SocketBond::parse(int rank) {
  std::string& bytes = peers_[rank].incoming;
  size_t at = 0;
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[at + i]); };
  while (at < bytes.size() && !failed_) {
    const uint8_t type = byte(0);
    if (type == kBeat || type == kLeave) {
      on_frame(rank, type, {});
      at += 1;
      continue;
    }
    if (type != kAddress && type != kFail) {
      return declare(
          Error(Code::kUnavailable,
                fmt::format("{} sent a control frame of unknown type {}", name(rank), type)));
    }
    if (bytes.size() - at < 3) break;
    const size_t length = byte(1) | byte(2) << 8;
    if (length > (type == kAddress ? kAddressBytesMax : kReasonBytesMax)) {
      return declare(Error(Code::kUnavailable,
                           fmt::format("{} sent a control frame of {} bytes", name(rank), length)));
    }
    if (bytes.size() - at < 3 + length) break;
    on_frame(rank, type, std::string_view(bytes).substr(at + 3, length));
    at += 3 + length;
  }
  bytes.erase(0, at);
}

void SocketBond::on_frame(int rank, uint8_t type, std::string_view body) {
  Peer& peer = peers_[rank];
  switch (type) {
    case kAddress:
      if (peer.has_address) return;
      peer.address = body;
      peer.has_address = true;
      changed_.notify_all();
      return;
    case kFail:
      return declare(Error(Code::kUnavailable, printable(body)));
    case kLeave:
      peer.left = true;
      return;
    default:
      return;
  }
}

void SocketBond::judge(Clock::time_point now) {
  for (size_t i = 0; i < peers_.size() && !failed_; ++i) {
    const Peer& peer = peers_[i];
    const int rank = static_cast<int>(i);
    if (!peer.socket || !peer.heard) continue;
    if (peer.left) {
      if (now - peer.heard_at < kLeaveGrace) continue;
      declare(Error(Code::kUnavailable, name(rank) + " left"));
    } else if (now - peer.heard_at >= kSilenceMax) {
      declare(Error(Code::kUnavailable,
                    fmt::format("{} died: silent for {} ms", name(rank), kSilenceMax.count())));
    }
  }
}

void SocketBond::beat() {
  std::lock_guard lock(mutex_);
  if (failed_ || leaving_) return;
  for (Peer& peer : peers_) {
    // Bytes on their way are as good as a beat, and a peer that takes none must not pile them up.
    if (peer.socket && !peer.left && peer.outgoing.empty()) post(&peer, {"\x01", 1});
  }
}

void SocketBond::post(Peer* peer, std::string_view bytes) {
  peer->outgoing += bytes;
  flush(peer);
}

void SocketBond::flush(Peer* peer) {
  while (!peer->outgoing.empty()) {
    const long sent = write_some(peer->socket, peer->outgoing);
    if (sent < 0) peer->outgoing.clear();  // a broken connection shows when read
    if (sent <= 0) return;
    peer->outgoing.erase(0, sent);
  }
}

void SocketBond::declare(const Error& error) {
  if (failed_ || leaving_) return;
  status_ = error;
  failed_ = true;
  if (transport_ != nullptr) transport_->abort(error.message());
  changed_.notify_all();
  alarm_.ring();
  for (Peer& peer : peers_) {
    if (!peer.socket) continue;
    // Heard from another rank or not: whoever sees this connection end must know the reason before.
    post(&peer, framed(kFail, std::string_view(error.message()).substr(0, kReasonBytesMax)));
    // Not closed yet: bytes still unread here would make the system discard what was sent.
    ::shutdown(peer.socket.fd(), SHUT_WR);
  }
}

std::string SocketBond::name(int rank) const {
  return fmt::format("rank {} at {}", rank, addresses_[rank]);
}

}  // namespace hearth::fabric
