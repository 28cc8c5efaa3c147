#include "fabric/rendezvous/meet.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <optional>

#include "base/log.h"

namespace hearth::fabric {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kDialAgainAfter = 100ms;
constexpr auto kConnectTimeout = 2s;
constexpr auto kStrangerTimeout = 3s;  // from accept to proof
constexpr size_t kStrangersMax = 64;   // accepted and not yet proven; the oldest makes room

#ifdef POLLRDHUP
constexpr short kHangUp = POLLRDHUP;
#else
constexpr short kHangUp = 0;  // POLLHUP is always reported
#endif

// A connection on its way to being somebody.
struct Visit {
  Socket socket;
  Introduction introduction;
  Clock::time_point deadline;  // strangers, and dials that are not connected yet
  bool connected;
  std::string outgoing{};  // what the socket did not take yet
  std::string incoming{};  // less than introduction.wanted()
};

// Reaching one lower rank.
struct Dial {
  int rank;
  HostPort target;
  Clock::time_point next;  // when to try again
  size_t attempts = 0;
  std::string last_error = "no answer";
  std::optional<Visit> visit{};
};

class Meeter {
 public:
  Meeter(const Socket& listener, const Meeting& meeting)
      : listener_(listener),
        meeting_(meeting),
        me_(meeting.me),
        deadline_(Clock::now() + std::chrono::milliseconds(meeting.timeout_ms)),
        met_(me_.group_size),
        expected_(me_.group_size) {
    for (int rank = me_.rank + 1; rank < me_.group_size; ++rank) expected_[rank] = true;
  }

  Result<std::vector<Socket>> run() {
    for (int rank = 0; rank < me_.rank; ++rank) {
      HEARTH_TRY(HostPort target, parse_host_port(meeting_.addresses[rank]));
      dials_.push_back({.rank = rank, .target = std::move(target), .next = Clock::now()});
    }
    while (missing() > 0) {
      const Clock::time_point now = Clock::now();
      if (now >= deadline_) return timed_out();
      for (Dial& dial : dials_) begin_dial(dial, now);
      HEARTH_RETURN_IF_ERROR(wait());
      HEARTH_RETURN_IF_ERROR(advance_dials());
      accept_strangers();
      advance_strangers();
    }
    return std::move(met_);
  }

 private:
  int missing() const {
    const auto here = std::count_if(met_.begin(), met_.end(), [](const Socket& s) { return !!s; });
    return me_.group_size - 1 - static_cast<int>(here);
  }

  std::string name(int rank) const {
    return fmt::format("rank {} at {}", rank, meeting_.addresses[rank]);
  }

  Error timed_out() const {
    for (const Dial& dial : dials_) {
      if (met_[dial.rank]) continue;
      return Error(Code::kDeadlineExceeded,
                   fmt::format("{} did not answer within {} ms: {}", name(dial.rank),
                               meeting_.timeout_ms, dial.last_error));
    }
    const auto rank = std::find(expected_.begin(), expected_.end(), true) - expected_.begin();
    if (wrong_token_[rank]) {
      return Error(Code::kPermissionDenied,
                   fmt::format("{} came with a wrong token", name(static_cast<int>(rank))));
    }
    return Error(Code::kDeadlineExceeded,
                 fmt::format("{} did not come within {} ms", name(static_cast<int>(rank)),
                             meeting_.timeout_ms));
  }

  void begin_dial(Dial& dial, Clock::time_point now) {
    if (met_[dial.rank] || dial.visit || now < dial.next) return;
    dial.next = now + kDialAgainAfter;
    const auto endpoints = resolve(dial.target.host, dial.target.port);
    if (!endpoints.ok() || endpoints->empty()) {
      dial.last_error = endpoints.ok() ? "no address" : endpoints.error().message();
      return;
    }
    Result<Socket> socket = start_connect((*endpoints)[dial.attempts++ % endpoints->size()]);
    if (!socket.ok()) {
      dial.last_error = socket.error().message();
      return;
    }
    dial.visit.emplace(Visit{.socket = std::move(*socket),
                             .introduction = Introduction::dialer(me_, dial.rank),
                             .deadline = now + kConnectTimeout,
                             .connected = false});
  }

  // Until something happens, or the next retry or deadline is due.
  Result<void> wait() {
    std::vector<pollfd> fds = {{.fd = listener_.fd(), .events = POLLIN}};
    if (meeting_.alarm != nullptr) fds.push_back({.fd = meeting_.alarm->fd(), .events = POLLIN});
    const size_t alarm = fds.size() - 1;
    const auto add = [&](const Visit& visit) {
      const bool write = !visit.connected || !visit.outgoing.empty();
      fds.push_back(
          {.fd = visit.socket.fd(), .events = static_cast<short>(write ? POLLOUT : POLLIN)});
    };
    for (const Dial& dial : dials_) {
      if (dial.visit) add(*dial.visit);
    }
    for (const Visit& visit : strangers_) add(visit);
    const size_t first_met = fds.size();
    std::vector<int> ranks;
    for (int rank = 0; rank < me_.group_size; ++rank) {
      if (!met_[rank]) continue;
      fds.push_back({.fd = met_[rank].fd(), .events = kHangUp});
      ranks.push_back(rank);
    }
    const int timeout_ms = std::chrono::milliseconds(kDialAgainAfter).count();
    if (::poll(fds.data(), fds.size(), timeout_ms) < 0) return {};  // EINTR: look at everything
    if (meeting_.alarm != nullptr && fds[alarm].revents != 0) {
      return Error(Code::kCancelled, "cancelled while connecting");
    }
    for (size_t i = 0; i < ranks.size(); ++i) {
      if (fds[first_met + i].revents == 0) continue;
      return Error(Code::kUnavailable, name(ranks[i]) + " went away while the group was joining");
    }
    return {};
  }

  Result<void> advance_dials() {
    for (Dial& dial : dials_) {
      if (!dial.visit) continue;
      Result<bool> done = advance_dial(*dial.visit);
      if (!done.ok()) {
        const Code code = done.error().code();
        if (code == Code::kPermissionDenied || code == Code::kUnsupported) {
          return Error(code, name(dial.rank) + " " + done.error().message());
        }
        dial.last_error = done.error().message();
        dial.visit.reset();
      } else if (*done) {
        met_[dial.rank] = std::move(dial.visit->socket);
        dial.visit.reset();
      }
    }
    return {};
  }

  Result<bool> advance_dial(Visit& visit) {
    if (!visit.connected) {
      pollfd fd = {.fd = visit.socket.fd(), .events = POLLOUT};
      if (::poll(&fd, 1, 0) <= 0) {
        if (Clock::now() < visit.deadline) return false;
        return Error(Code::kUnavailable, "connecting timed out");
      }
      if (const int error = connect_error(visit.socket); error != 0) {
        return Error(Code::kUnavailable, error_text(error));
      }
      visit.connected = true;
    }
    return advance(visit);
  }

  void accept_strangers() {
    while (Socket socket = accept_from(listener_)) {
      if (strangers_.size() == kStrangersMax) strangers_.pop_front();
      strangers_.push_back({.socket = std::move(socket),
                            .introduction = Introduction::listener(me_, expected_),
                            .deadline = Clock::now() + kStrangerTimeout,
                            .connected = true});
    }
  }

  void advance_strangers() {
    const Clock::time_point now = Clock::now();
    for (auto visit = strangers_.begin(); visit != strangers_.end();) {
      Result<bool> done = advance(*visit);
      const int peer = visit->introduction.peer();
      if (done.ok() && !*done && now < visit->deadline) {
        ++visit;
        continue;
      }
      // Two connections may have begun while one rank was expected; the first to prove itself is
      // it.
      if (done.ok() && *done && expected_[peer]) {
        expected_[peer] = false;
        met_[peer] = std::move(visit->socket);
      } else if (!done.ok() && done.error().code() == Code::kPermissionDenied) {
        refuse_token(peer, peer_host(visit->socket));
      }
      visit = strangers_.erase(visit);
    }
  }

  // Once per rank, so that a stranger cannot fill the log.
  void refuse_token(int rank, const std::string& host) {
    if (wrong_token_[rank]) return;
    wrong_token_[rank] = true;
    log::warn("refused a connection from {} as rank {}: wrong token", host, rank);
  }

  // Moves bytes both ways until the socket blocks. True once the introduction is done and all of it
  // sent.
  static Result<bool> advance(Visit& visit) {
    Result<void> fed;
    while (true) {
      visit.outgoing += visit.introduction.take_outgoing();
      if (!visit.outgoing.empty()) {
        const long sent = write_some(visit.socket, visit.outgoing);
        if (sent < 0) return Error(Code::kUnavailable, error_text(static_cast<int>(-sent)));
        visit.outgoing.erase(0, sent);
      }
      if (!fed.ok()) return fed.error();
      if (!visit.outgoing.empty()) return false;
      if (visit.introduction.done()) return true;
      std::array<char, 64> bytes;
      const size_t missing = visit.introduction.wanted() - visit.incoming.size();
      const long got = read_some(visit.socket, bytes.data(), std::min(missing, bytes.size()));
      if (got == -EAGAIN) return false;
      if (got <= 0) {
        return Error(Code::kUnavailable, got == 0 ? "connection closed during the introduction"
                                                  : error_text(static_cast<int>(-got)));
      }
      visit.incoming.append(bytes.data(), got);
      if (visit.incoming.size() == visit.introduction.wanted()) {
        fed = visit.introduction.feed(std::exchange(visit.incoming, {}));
      }
    }
  }

  const Socket& listener_;
  const Meeting& meeting_;
  const Party& me_;
  const Clock::time_point deadline_;
  std::vector<Socket> met_;
  std::vector<bool> expected_;  // higher ranks that have not come yet
  std::vector<bool> wrong_token_ =
      std::vector<bool>(256);  // any rank, once claimed with a wrong token
  std::vector<Dial> dials_;
  std::deque<Visit> strangers_;
};

}  // namespace

Result<std::vector<Socket>> meet(const Socket& listener, const Meeting& meeting) {
  return Meeter(listener, meeting).run();
}

}  // namespace hearth::fabric
