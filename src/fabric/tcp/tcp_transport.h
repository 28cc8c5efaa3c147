// Messages over one TCP connection per pair of ranks. Frame: length, tag, payload;
// docs/protocols.md, "TCP data connection".
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "fabric/common/inbox.h"
#include "fabric/common/patience.h"
#include "fabric/rendezvous/socket.h"
#include "fabric/transport.h"

namespace hearth::fabric {

class TcpTransport final : public Transport {
 public:
  static Result<std::unique_ptr<Transport>> make(const std::string& listen_host);
  ~TcpTransport() override;

  std::string_view name() const override { return "tcp"; }
  Result<std::string> local_address(std::span<const std::string> local_hosts,
                                    std::span<const std::string> hosts) override;
  Result<void> connect(int rank, std::span<const std::string> addresses,
                       std::span<const std::string> hosts, const std::string& token,
                       int timeout_ms) override;
  Result<void> send(int peer, Tag tag, std::span<const std::byte> data) override;
  Result<size_t> recv(int peer, Tag tag, Destination into) override;
  std::string carrier(int peer) const override;
  void abort(const std::string& reason) override;

 private:
  static constexpr size_t kHeaderBytes = 8;
  static constexpr size_t kBufferBytes = 64 * 1024;

  // The frame that is arriving.
  struct Frame {
    enum class Fate { kDeliver, kKeep, kDrop } fate;
    Tag tag;
    size_t bytes;
    size_t got = 0;
    std::byte* to = nullptr;  // into the receiver's memory or `kept`; null when dropped
    Message kept{};
  };

  struct Peer {
    Socket socket;
    std::unique_ptr<std::byte[]> buffer;  // bytes [begin, end) have been read and not parsed
    size_t begin = 0, end = 0;
    std::optional<Frame> frame;
    Inbox inbox;
    bool full = false;  // the next frame found no room in the inbox
    std::optional<Error> gone;
  };

  // The receive that is waiting.
  struct Posted {
    int peer;
    Tag tag;
    Destination into;
    std::optional<Result<size_t>> result{};
  };

  TcpTransport(std::string listen_host, Alarm alarm)
      : listen_host_(std::move(listen_host)), alarm_(std::move(alarm)) {}

  Result<void> aborted() const;
  bool posted_for(int rank, Tag tag) const;
  // Takes what has arrived from `rank`, until nothing more has or the posted receive has its
  // result.
  void advance(int rank);
  void advance_all();
  bool begin_frame(int rank);
  void end_frame(int rank);
  // Reads from the socket; false when nothing has arrived or the peer is gone.
  bool fill(int rank);
  bool fill_payload(int rank);
  bool read_into(int rank, std::byte* to, size_t room, size_t* got);
  void lose(int rank, const std::string& why);
  // One round of waiting; true after sleep().
  bool wait(int writing);
  // Sleeps until bytes arrive, `writing` (-1: none) takes more, or abort.
  void sleep(int writing);

  const std::string listen_host_;
  const Alarm alarm_;
  Socket listener_;
  std::vector<Peer> peers_;  // by rank; own entry has no socket
  std::optional<Posted> posted_;
  Patience patience_;

  std::atomic<bool> aborted_ = false;
  mutable std::mutex mutex_;  // guards reason_
  std::string reason_;
};

}  // namespace hearth::fabric
