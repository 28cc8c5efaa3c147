// The bond over one TCP connection per pair of ranks. A small thread sends a byte every 500 ms and
// listens; a rank that is silent for 1.5 s, or whose connection ends without a goodbye, is dead.
// Computing ranks need not call anything. Bytes: docs/protocols.md, "Control connection".
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fabric/rendezvous/bond.h"
#include "fabric/rendezvous/socket.h"

namespace hearth::fabric {

class SocketBond final : public Bond {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr size_t kAddressBytesMax = 16 * 1024;
  static constexpr size_t kReasonBytesMax = 1024;

  // `sockets` by rank, own entry empty; `addresses` name the ranks in errors.
  static Result<std::unique_ptr<SocketBond>> make(int rank, std::vector<Socket> sockets,
                                                  std::vector<std::string> addresses);
  ~SocketBond() override;

  // Gives `mine` (<= kAddressBytesMax) to every rank and waits for theirs, by rank. Once per bond.
  // kUnavailable when the group failed meanwhile; kDeadlineExceeded names the rank that sent none.
  Result<std::vector<std::string>> exchange(const std::string& mine, Clock::time_point deadline);

  void guard(Transport* transport) override;
  void fail(const Error& error) override;
  Result<void> status() const override;
  Result<void> wait_for_failure(int timeout_ms) const override;

 private:
  struct Peer {
    Socket socket;
    std::string outgoing;  // what the socket did not take yet
    std::string incoming;  // a frame's beginning
    Clock::time_point heard_at;
    bool heard = false;  // silence counts from the first byte on: it may still be meeting
    bool left = false;   // said goodbye, at heard_at
    bool has_address = false;
    std::string address;
  };

  SocketBond(int rank, std::vector<Socket> sockets, std::vector<std::string> addresses,
             Alarm alarm);

  void run();
  // Until a byte arrives, the alarm rings, somebody's silence is too long, or `until`.
  void wait(Clock::time_point until);
  void hear(int rank);
  void parse(int rank);
  void on_frame(int rank, uint8_t type, std::string_view body);
  void judge(Clock::time_point now);
  void beat();
  // All below: REQUIRES mutex_ held.
  void post(Peer* peer, std::string_view bytes);
  void flush(Peer* peer);
  void declare(const Error& error);
  std::string name(int rank) const;

  const int rank_;
  const std::vector<std::string> addresses_;
  const Alarm alarm_;

  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable changed_;
  std::vector<Peer> peers_;
  Transport* transport_ = nullptr;
  Result<void> status_;
  std::atomic<bool> failed_ = false;  // status_ is an error; read without the mutex
  bool leaving_ = false;

  std::thread thread_;
};

}  // namespace hearth::fabric
