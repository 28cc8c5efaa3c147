// Who is there, and where: the fault detector and the address book. Sans-I/O, part of the core.
//
// A device is heard when it calls, or answers a call. Every kHeartbeat each device calls every
// other; a call that fails, stays unanswered for kProbe, or a connection that closes is a miss, and
// after a miss there is a probe every kProbe. kSuspectMisses in a row make a device suspect,
// kOfflineMisses offline; anything heard makes it online again. Misses are counted by probes, not
// by the clock, so that a device that was itself stopped for a while does not take the others for
// dead.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "cluster/view.h"

namespace hearth::cluster {

inline constexpr Duration kHeartbeat = std::chrono::seconds(5);
inline constexpr Duration kProbe = std::chrono::seconds(1);
inline constexpr int kSuspectMisses = 3;
inline constexpr int kOfflineMisses = 4;
// A device that can call this one but cannot be called has no probes to miss.
inline constexpr Duration kSilenceMax = std::chrono::seconds(11);
inline constexpr Duration kDialBackoffMin = std::chrono::seconds(1);
inline constexpr Duration kDialBackoffMax = std::chrono::seconds(5);
inline constexpr Duration kRefusedBackoff = std::chrono::seconds(30);
// Offline devices, and addresses where nobody answers, are forgotten after this.
inline constexpr Duration kForget = std::chrono::hours(1);

// "host:port", "[v6]:port" or "[fe80::1%eth0]:port" of bounded length.
bool valid_address(std::string_view address);

struct Peer {
  DeviceId id;
  DeviceStatus status = DeviceStatus::kOffline;
  bool member = false;  // has said hello, or was welcomed; may call us
  bool was_online = false;
  std::string address;  // of the link for calls to it; empty: none
  TimePoint last_heard{};
  TimePoint offline_since{};
  int misses = 0;
  TimePoint next_beat{};
  uint64_t beat_call = 0;  // the latest heartbeat that is neither answered nor counted as missed
  TimePoint beat_sent{};
};

// Not thread-safe: belongs to the core.
class Membership {
 public:
  explicit Membership(DeviceId self) : self_(std::move(self)) {}

  enum class Source { kConfigured, kFound };
  // A place to dial. `hint`: who is believed to be there, if anyone. Bad, own and too many are
  // ignored.
  void add_address(const std::string& address, Source source, const DeviceId& hint, TimePoint now);
  // Tries an address again at once: somebody announced it.
  void retry(const std::string& address, TimePoint now);
  void set_own_addresses(const std::vector<std::string>& addresses);
  // A device that others speak of. Offline until heard.
  void add_known(const DeviceId& id, TimePoint now);

  // A device said hello or welcomed us. False when the cluster is full.
  bool admit(const DeviceId& id, TimePoint now);
  // A sign of life. REQUIRES: the device is a member.
  void heard(const DeviceId& id, TimePoint now);

  // `id` answers at `address`. False: it is not needed, close it.
  bool linked(const std::string& address, const DeviceId& id, TimePoint now);
  void dial_failed(const std::string& address, bool refused, TimePoint now);
  void link_closed(const std::string& address, TimePoint now);
  void goodbye(const DeviceId& id, TimePoint now);

  void beat_started(const DeviceId& id, uint64_t call, TimePoint now);
  void beat_answered(const DeviceId& id, uint64_t call, TimePoint now);
  void beat_failed(const DeviceId& id, uint64_t call, TimePoint now);
  // Makes the next heartbeat due now.
  void beat_soon(const DeviceId& id, TimePoint now);

  struct Due {
    std::vector<std::string> dials;
    std::vector<DeviceId> beats;
    std::vector<DeviceId> forgotten;
  };
  // What is to be done now. A dial counts as under way until linked() or dial_failed().
  Due tick(TimePoint now);

  struct Change {
    DeviceId id;
    DeviceStatus status;
  };
  std::vector<Change> take_changes() { return std::exchange(changes_, {}); }
  // Links that are not to be used any more.
  std::vector<std::string> take_closed() { return std::exchange(closed_, {}); }

  const Peer* find(const DeviceId& id) const;
  bool is_member(const DeviceId& id) const;
  const std::map<DeviceId, Peer>& peers() const { return peers_; }

 private:
  struct Address {
    bool configured = false;
    bool own = false;
    bool dialling = false;
    DeviceId id;
    Duration backoff = kDialBackoffMin;
    TimePoint next_dial{};
    TimePoint last_useful{};
  };

  void set_status(Peer& peer, DeviceStatus status, TimePoint now);
  void missed(Peer& peer, TimePoint now);
  void drop_link(Peer& peer);
  bool wanted(const Address& address) const;
  void tick_peers(TimePoint now, Due& due);
  void tick_addresses(TimePoint now, Due& due);

  const DeviceId self_;
  std::map<DeviceId, Peer> peers_;
  std::map<std::string, Address> addresses_;
  std::set<std::string> own_addresses_;
  std::vector<Change> changes_;
  std::vector<std::string> closed_;
  TimePoint last_tick_{};
};

}  // namespace hearth::cluster
