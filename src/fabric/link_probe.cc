#include "fabric/link_probe.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <list>
#include <thread>
#include <vector>

#include "base/host_port.h"
#include "base/ids.h"
#include "fabric/rendezvous/hello.h"
#include "fabric/rendezvous/socket.h"

namespace hearth::fabric {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::string_view kMagic = "PRB1";
constexpr size_t kPingBytes = 64;  // with the request
constexpr int kPings = 21;
constexpr int64_t kFirstBurstBytes = 64_KiB;
constexpr auto kBurstLongEnough = 20ms;
constexpr size_t kChunkBytes = 256 * 1024;
constexpr size_t kConnectionsMax = 8;
constexpr auto kConnectionTimeout = 5s;

Party party(int rank, const std::string& token) {
  return {.rank = rank, .group_size = 2, .purpose = Purpose::kProbe, .token = token};
}

// A socket with a deadline, and an alarm that ends every wait.
class Stream {
 public:
  Stream(Socket socket, Clock::time_point deadline, const Alarm* alarm = nullptr)
      : socket_(std::move(socket)), deadline_(deadline), alarm_(alarm) {}

  const Socket& socket() const { return socket_; }

  Result<void> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const long written = write_some(socket_, bytes);
      if (written < 0) return broken(static_cast<int>(-written));
      bytes.remove_prefix(static_cast<size_t>(written));
      if (written == 0) HEARTH_RETURN_IF_ERROR(wait(POLLOUT));
    }
    return {};
  }

  Result<void> read(std::span<char> into) {
    while (!into.empty()) {
      const long got = read_some(socket_, into.data(), into.size());
      if (got == -EAGAIN) {
        HEARTH_RETURN_IF_ERROR(wait(POLLIN));
        continue;
      }
      if (got == 0) return Error(Code::kUnavailable, "connection closed");
      if (got < 0) return broken(static_cast<int>(-got));
      into = into.subspan(static_cast<size_t>(got));
    }
    return {};
  }

  Result<void> drop(int64_t bytes) {
    std::vector<char> chunk(kChunkBytes);
    while (bytes > 0) {
      const auto part = std::min<int64_t>(bytes, static_cast<int64_t>(chunk.size()));
      HEARTH_RETURN_IF_ERROR(read(std::span(chunk).first(static_cast<size_t>(part))));
      bytes -= part;
    }
    return {};
  }

  Result<void> wait(short events) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0) return Error(Code::kDeadlineExceeded, "no answer in time");
    std::array<pollfd, 2> fds = {
        {{.fd = socket_.fd(), .events = events, .revents = 0},
         {.fd = alarm_ == nullptr ? -1 : alarm_->fd(), .events = POLLIN, .revents = 0}}};
    ::poll(fds.data(), fds.size(), static_cast<int>(left) + 1);
    if (fds[1].revents != 0) return Error(Code::kUnavailable, "stopping");
    return {};
  }

 private:
  static Error broken(int error) { return Error(Code::kUnavailable, error_text(error)); }

  Socket socket_;
  Clock::time_point deadline_;
  const Alarm* alarm_;
};

Result<void> introduce(Introduction introduction, Stream& stream) {
  std::array<char, 64> buffer;
  HEARTH_RETURN_IF_ERROR(stream.write(introduction.take_outgoing()));
  while (!introduction.done()) {
    const std::span<char> into = std::span(buffer).first(introduction.wanted());
    HEARTH_RETURN_IF_ERROR(stream.read(into));
    const auto fed = introduction.feed({into.data(), into.size()});
    // Also what tells the other side why it is refused.
    HEARTH_RETURN_IF_ERROR(stream.write(introduction.take_outgoing()));
    HEARTH_RETURN_IF_ERROR(fed);
  }
  return {};
}

Result<Stream> dial(const std::string& host, int port, Clock::time_point deadline) {
  HEARTH_TRY(const std::vector<Endpoint> endpoints, resolve(host, port));
  if (endpoints.empty()) return Error(Code::kUnavailable, "no address");
  HEARTH_TRY(Socket socket, start_connect(endpoints.front()));
  Stream stream(std::move(socket), deadline);
  HEARTH_RETURN_IF_ERROR(stream.wait(POLLOUT));
  if (Clock::now() >= deadline) return Error(Code::kDeadlineExceeded, "no answer in time");
  if (const int error = connect_error(stream.socket()); error != 0) {
    return Error(Code::kUnavailable, error_text(error));
  }
  return stream;
}

// From the request to the answer that all of it came.
Result<Clock::duration> exchange(Stream& stream, std::string_view payload_chunk, int64_t payload) {
  const std::string request = ProbeRequest{static_cast<uint32_t>(payload)}.encode();
  const auto begin = Clock::now();
  // Small ones in one piece, as the messages are whose latency is asked for.
  if (payload <= static_cast<int64_t>(kPingBytes)) {
    HEARTH_RETURN_IF_ERROR(
        stream.write(request + std::string(payload_chunk.substr(0, static_cast<size_t>(payload)))));
  } else {
    HEARTH_RETURN_IF_ERROR(stream.write(request));
    for (int64_t left = payload; left > 0;) {
      const auto part = std::min<int64_t>(left, static_cast<int64_t>(payload_chunk.size()));
      HEARTH_RETURN_IF_ERROR(stream.write(payload_chunk.substr(0, static_cast<size_t>(part))));
      left -= part;
    }
  }
  std::array<char, ProbeRequest::kBytes> answer;
  HEARTH_RETURN_IF_ERROR(stream.read(answer));
  if (std::string_view(answer.data(), answer.size()) != request) {
    return Error(Code::kUnavailable, "answers nonsense");
  }
  return Clock::now() - begin;
}

Result<Clock::duration> median_round_trip(Stream& stream, std::string_view chunk) {
  std::vector<Clock::duration> trips;
  for (int i = 0; i < kPings; ++i) {
    HEARTH_TRY(const auto trip, exchange(stream, chunk, kPingBytes - ProbeRequest::kBytes));
    trips.push_back(trip);
  }
  std::nth_element(trips.begin(), trips.begin() + kPings / 2, trips.end());
  return trips[kPings / 2];
}

// The first bursts also open TCP's window; the last, which counts, is long enough for both ends'
// clocks and buffers to hardly matter.
Result<double> bandwidth(Stream& stream, std::string_view chunk, Clock::duration round_trip) {
  for (int64_t bytes = kFirstBurstBytes;; bytes *= 4) {
    bytes = std::min(bytes, kProbeBurstBytesMax);
    HEARTH_TRY(const auto taken, exchange(stream, chunk, bytes));
    // The answer's way back is none of the burst's.
    const auto busy = std::max<Clock::duration>(taken - round_trip, taken / 2);
    if (taken < kBurstLongEnough && bytes < kProbeBurstBytesMax) continue;
    return static_cast<double>(bytes) * 8 / std::chrono::duration<double>(busy).count();
  }
}

Result<LinkMeasurement> measure(const std::string& host, int port, const std::string& token,
                                const LinkProbeOptions& options) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(options.timeout_ms);
  HEARTH_TRY(Stream stream, dial(host, port, deadline));
  HEARTH_RETURN_IF_ERROR(introduce(Introduction::dialer(party(1, token), 0), stream));
  const std::string chunk(options.bandwidth ? kChunkBytes : kPingBytes, 'h');
  LinkMeasurement link{.local_host = local_host(stream.socket()),
                       .peer_host = peer_host(stream.socket())};
  HEARTH_TRY(const auto round_trip, median_round_trip(stream, chunk));
  link.latency_us = std::chrono::duration<double, std::micro>(round_trip).count() / 2;
  if (options.bandwidth) {
    HEARTH_TRY(link.bits_per_second, bandwidth(stream, chunk, round_trip));
  }
  return link;
}

class Server final : public LinkProbeServer {
 public:
  Server(Socket listener, Alarm alarm)
      : listener_(std::move(listener)), alarm_(std::move(alarm)), token_(random_hex(16)) {
    thread_ = std::thread([this] { accept(); });
  }
  ~Server() override {
    alarm_.ring();
    thread_.join();
    for (Guest& guest : guests_) guest.thread.join();
  }

  int port() const override { return local_port(listener_); }
  const std::string& token() const override { return token_; }

 private:
  struct Guest {
    std::atomic<bool> gone = false;
    std::thread thread{};
  };

  void accept() {
    while (true) {
      std::array<pollfd, 2> fds = {{{.fd = listener_.fd(), .events = POLLIN, .revents = 0},
                                    {.fd = alarm_.fd(), .events = POLLIN, .revents = 0}}};
      ::poll(fds.data(), fds.size(), -1);
      if (fds[1].revents != 0) return;
      Socket socket = accept_from(listener_);
      reap();
      if (!socket || guests_.size() >= kConnectionsMax) continue;
      Guest& guest = guests_.emplace_back();
      guest.thread = std::thread([this, &guest, socket = std::move(socket)]() mutable {
        serve(Stream(std::move(socket), Clock::now() + kConnectionTimeout, &alarm_));
        guest.gone = true;
      });
    }
  }

  void reap() {
    std::erase_if(guests_, [](Guest& guest) {
      if (!guest.gone) return false;
      guest.thread.join();
      return true;
    });
  }

  // Until the prober goes, or takes more than its share.
  void serve(Stream stream) const {
    if (!introduce(Introduction::listener(party(0, token_), {false, true}), stream)) return;
    int64_t total = 0;
    std::string bytes(ProbeRequest::kBytes, '\0');
    while (stream.read(bytes)) {
      const auto request = ProbeRequest::decode(bytes);
      if (!request) return;
      total += static_cast<int64_t>(ProbeRequest::kBytes) + request->payload;
      if (total > kProbeConnectionBytesMax) return;
      if (!stream.drop(request->payload) || !stream.write(bytes)) return;
    }
  }

  const Socket listener_;
  const Alarm alarm_;
  const std::string token_;
  std::list<Guest> guests_;  // of thread_, and of the destructor after it
  std::thread thread_;
};

}  // namespace

std::string ProbeRequest::encode() const {
  std::string bytes(kMagic);
  for (int shift = 0; shift < 32; shift += 8) {
    bytes.push_back(static_cast<char>(payload >> shift & 0xff));
  }
  return bytes;
}

std::optional<ProbeRequest> ProbeRequest::decode(std::string_view bytes) {
  HEARTH_CHECK(bytes.size() == kBytes);
  if (!bytes.starts_with(kMagic)) return std::nullopt;
  ProbeRequest request;
  for (size_t i = 0; i < 4; ++i) {
    request.payload |= uint32_t{static_cast<uint8_t>(bytes[kMagic.size() + i])} << (8 * i);
  }
  if (request.payload > kProbeBurstBytesMax) return std::nullopt;
  return request;
}

Result<LinkMeasurement> probe_link(const std::string& host, int port, const std::string& token,
                                   const LinkProbeOptions& options) {
  auto link = measure(host, port, token, options);
  if (link.ok()) return link;
  return link.error().context(join_host_port(host, port));
}

Result<std::unique_ptr<LinkProbeServer>> LinkProbeServer::listen(const std::string& host) {
  HEARTH_TRY(Socket listener, listen_at(host));
  HEARTH_TRY(Alarm alarm, Alarm::make());
  return std::unique_ptr<LinkProbeServer>(
      std::make_unique<Server>(std::move(listener), std::move(alarm)));
}

}  // namespace hearth::fabric
