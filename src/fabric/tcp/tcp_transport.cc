#include "fabric/tcp/tcp_transport.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/host_port.h"
#include "base/limits.h"
#include "fabric/rendezvous/meet.h"

namespace hearth::fabric {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kDeliverWithin = 500ms;
// Payloads that still miss this much are read in place, smaller rests through the buffer.
constexpr size_t kInPlaceBytes = 16 * 1024;
// Within a host there is no delay to fill. A small buffer lets the receiver copy what is still in
// the processor's cache: a megabyte passes in a fifth of the time.
constexpr int kSameHostBufferBytes = 256 * 1024;
// While spinning for one peer, how often the others are looked at.
constexpr int kOthersEvery = 16;

void put_u32(std::byte* to, uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<std::byte>(value >> (8 * i));
}

uint32_t get_u32(const std::byte* from) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value |= static_cast<uint32_t>(from[i]) << (8 * i);
  return value;
}

}  // namespace

Result<std::unique_ptr<Transport>> TcpTransport::make(const std::string& listen_host) {
  HEARTH_TRY(Alarm alarm, Alarm::make());
  return std::unique_ptr<Transport>(new TcpTransport(listen_host, std::move(alarm)));
}

TcpTransport::~TcpTransport() {
  if (aborted_) return;
  const auto deadline = Clock::now() + kDeliverWithin;
  for (const Peer& peer : peers_) {
    while (peer.socket && !peer.gone && !all_delivered(peer.socket) && Clock::now() < deadline) {
      std::this_thread::sleep_for(1ms);
    }
  }
}

Result<std::string> TcpTransport::local_address(std::span<const std::string>) {
  HEARTH_TRY(listener_, listen_at(listen_host_));
  return std::to_string(local_port(listener_));
}

Result<void> TcpTransport::connect(int rank, std::span<const std::string> addresses,
                                   std::span<const std::string> hosts, const std::string& token,
                                   int timeout_ms) {
  Meeting meeting;
  meeting.me = Party{rank, static_cast<int>(addresses.size()), Purpose::kData, token};
  meeting.timeout_ms = timeout_ms;
  meeting.alarm = &alarm_;
  for (size_t i = 0; i < addresses.size(); ++i) {
    int port = 0;
    std::from_chars(addresses[i].data(), addresses[i].data() + addresses[i].size(), port);
    meeting.addresses.push_back(join_host_port(hosts[i], port));
  }
  auto sockets = meet(listener_, meeting);
  listener_.close();
  HEARTH_RETURN_IF_ERROR(aborted());
  if (!sockets.ok()) return sockets.error();
  peers_.resize(addresses.size());
  for (size_t i = 0; i < peers_.size(); ++i) {
    peers_[i].socket = std::move((*sockets)[i]);
    const Socket& socket = peers_[i].socket;
    if (!socket) continue;
    peers_[i].buffer.reset(new std::byte[kBufferBytes]);
    if (local_host(socket) == peer_host(socket)) fix_send_buffer(socket, kSameHostBufferBytes);
  }
  return {};
}

Result<void> TcpTransport::send(int to, Tag tag, std::span<const std::byte> data) {
  Peer& peer = peers_[to];
  std::byte header[kHeaderBytes];
  put_u32(header, static_cast<uint32_t>(data.size()));
  put_u32(header + 4, tag);
  patience_.renew();
  for (size_t sent = 0; sent < kHeaderBytes + data.size();) {
    HEARTH_RETURN_IF_ERROR(aborted());
    if (peer.gone) return *peer.gone;
    const size_t head = std::min(sent, kHeaderBytes), body = sent - head;
    std::array<iovec, 2> parts = {
        iovec{header + head, kHeaderBytes - head},
        iovec{const_cast<std::byte*>(data.data()) + body, data.size() - body}};
    const long written = write_some(peer.socket, parts);
    if (written > 0) {
      sent += static_cast<size_t>(written);
      patience_.renew();
    } else if (written < 0) {
      // What it sent before it went is still to be received; only this direction is known to be
      // broken.
      return Error(Code::kUnavailable,
                   fmt::format("rank {}: {}", to, error_text(static_cast<int>(-written))));
    } else {
      wait(to);
      // The peer may itself be sending and take nothing until its bytes are taken.
      advance_all();
    }
  }
  return {};
}

Result<size_t> TcpTransport::recv(int from, Tag tag, Destination into) {
  HEARTH_RETURN_IF_ERROR(aborted());
  Peer& peer = peers_[from];
  if (auto message = peer.inbox.take(tag)) {
    peer.full = false;
    return message->copy_to(into);
  }
  posted_ = Posted{.peer = from, .tag = tag, .into = into};
  patience_.renew();
  for (int looks = 1;; ++looks) {
    advance(from);
    if (peers_.size() > 2 && looks % kOthersEvery == 0) advance_all();
    // Nothing may be taken from here to the wait: it is what this waits for, perhaps.
    Result<void> going = aborted();
    if (going.ok() && !posted_->result) {
      if (peer.gone) going = *peer.gone;
      if (peer.full) {
        going =
            Error(Code::kResourceExhausted,
                  fmt::format("rank {} sent more than {} bytes that nobody received, before the "
                              "message expected now",
                              from, kUnclaimedBytesMax));
      }
    }
    if (!going.ok() || posted_->result) {
      Result<size_t> result = going.ok() ? *posted_->result : going.error();
      posted_.reset();
      return result;
    }
    if (wait(-1)) advance_all();
  }
}

void TcpTransport::abort(const std::string& reason) {
  std::lock_guard lock(mutex_);
  if (aborted_) return;
  reason_ = reason;
  aborted_ = true;
  alarm_.ring();
}

Result<void> TcpTransport::aborted() const {
  if (!aborted_.load(std::memory_order_relaxed)) return {};
  std::lock_guard lock(mutex_);
  return Error(Code::kUnavailable, reason_);
}

bool TcpTransport::posted_for(int rank, Tag tag) const {
  return posted_ && !posted_->result && posted_->peer == rank && posted_->tag == tag;
}

void TcpTransport::advance_all() {
  for (size_t rank = 0; rank < peers_.size(); ++rank) {
    if (peers_[rank].socket) advance(static_cast<int>(rank));
  }
}

void TcpTransport::advance(int rank) {
  Peer& peer = peers_[rank];
  while (!peer.gone && !(posted_ && posted_->result)) {
    if (!peer.frame) {
      if (peer.end - peer.begin < kHeaderBytes) {
        if (!fill(rank)) return;
      } else if (!begin_frame(rank)) {
        return;
      }
      continue;
    }
    Frame& frame = *peer.frame;
    const size_t buffered = std::min(peer.end - peer.begin, frame.bytes - frame.got);
    if (buffered > 0 && frame.to != nullptr) {
      std::memcpy(frame.to + frame.got, peer.buffer.get() + peer.begin, buffered);
    }
    peer.begin += buffered;
    frame.got += buffered;
    if (frame.got == frame.bytes) {
      end_frame(rank);
    } else if (frame.to != nullptr && frame.bytes - frame.got >= kInPlaceBytes) {
      if (!fill_payload(rank)) return;
    } else if (!fill(rank)) {
      return;
    }
  }
}

// False when the frame has to wait for room, or is damaged.
bool TcpTransport::begin_frame(int rank) {
  Peer& peer = peers_[rank];
  peer.full = false;
  const std::byte* header = peer.buffer.get() + peer.begin;
  const size_t bytes = get_u32(header);
  const Tag tag = get_u32(header + 4);
  if (bytes > static_cast<size_t>(limits::kFrameBytesMax)) {
    lose(rank, fmt::format("sent a damaged frame of {} bytes", bytes));
    return false;
  }
  Frame frame{.fate = Frame::Fate::kDrop, .tag = tag, .bytes = bytes};
  if (posted_for(rank, tag)) {
    const Result<std::byte*> to = posted_->into.reserve(bytes);
    if (to.ok()) {
      frame.fate = Frame::Fate::kDeliver;
      frame.to = *to;
    } else {
      posted_->result = to.error();  // the payload is dropped as it arrives
    }
  } else {
    peer.full = !peer.inbox.has_room();
    if (peer.full) return false;
    Result<Message> message = Message::of_size(bytes);
    if (!message.ok()) {
      lose(rank, message.error().message());
      return false;
    }
    frame.fate = Frame::Fate::kKeep;
    frame.kept = std::move(*message);
    frame.to = frame.kept.data.get();
  }
  peer.begin += kHeaderBytes;
  peer.frame = std::move(frame);
  return true;
}

void TcpTransport::end_frame(int rank) {
  Peer& peer = peers_[rank];
  Frame frame = std::move(*peer.frame);
  peer.frame.reset();
  switch (frame.fate) {
    case Frame::Fate::kDeliver:
      posted_->result = frame.bytes;
      return;
    case Frame::Fate::kDrop:
      return;
    case Frame::Fate::kKeep:
      // It may have been asked for while it was arriving.
      if (posted_for(rank, frame.tag)) {
        posted_->result = frame.kept.copy_to(posted_->into);
      } else {
        peer.inbox.add(frame.tag, std::move(frame.kept));
      }
      return;
  }
}

bool TcpTransport::fill(int rank) {
  Peer& peer = peers_[rank];
  std::memmove(peer.buffer.get(), peer.buffer.get() + peer.begin, peer.end - peer.begin);
  peer.end -= peer.begin;
  peer.begin = 0;
  size_t got = 0;
  if (!read_into(rank, peer.buffer.get() + peer.end, kBufferBytes - peer.end, &got)) return false;
  peer.end += got;
  return true;
}

bool TcpTransport::fill_payload(int rank) {
  Frame& frame = *peers_[rank].frame;
  size_t got = 0;
  if (!read_into(rank, frame.to + frame.got, frame.bytes - frame.got, &got)) return false;
  frame.got += got;
  return true;
}

bool TcpTransport::read_into(int rank, std::byte* to, size_t room, size_t* got) {
  const long bytes = read_some(peers_[rank].socket, to, room);
  if (bytes > 0) {
    *got = static_cast<size_t>(bytes);
    return true;
  }
  if (bytes == 0) lose(rank, "connection closed");
  if (bytes < 0 && bytes != -EAGAIN) lose(rank, error_text(static_cast<int>(-bytes)));
  return false;
}

void TcpTransport::lose(int rank, const std::string& why) {
  peers_[rank].gone = Error(Code::kUnavailable, fmt::format("rank {}: {}", rank, why));
}

bool TcpTransport::wait(int writing) {
  if (patience_.spin()) return false;
  sleep(writing);
  patience_.renew();
  return true;
}

void TcpTransport::sleep(int writing) {
  std::array<pollfd, limits::kRanksMax + 1> fds;
  size_t count = 0;
  fds[count++] = {.fd = alarm_.fd(), .events = POLLIN};
  for (size_t rank = 0; rank < peers_.size(); ++rank) {
    const Peer& peer = peers_[rank];
    short events = 0;
    // A full inbox stops reading, which in the end stops the sender.
    if (peer.socket && !peer.gone && !peer.full) events |= POLLIN;
    if (static_cast<int>(rank) == writing) events |= POLLOUT;
    if (events != 0) fds[count++] = {.fd = peer.socket.fd(), .events = events};
  }
  ::poll(fds.data(), count, -1);
}

}  // namespace hearth::fabric
