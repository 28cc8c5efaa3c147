// Finding the other devices of the local network by mDNS/DNS-SD (RFC 6762, RFC 6763), service
// _hearth._tcp. Through the system's Avahi daemon when it answers on D-Bus, else by a responder of
// its own (avahi-core), as in containers. Never fatal: what does not work is logged and tried
// again.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/ids.h"
#include "cluster/core/core.h"

namespace hearth::cluster {

// What is announced of this device, and whom to tell of others.
struct Announcement {
  DeviceId id;
  std::string cluster;
  int port = 0;
  std::function<void(event::Discovered)>
      found;  // from discovery's thread; again when an address changes
};

// Thread-safe.
class Discovery {
 public:
  explicit Discovery(Announcement announcement);
  // Withdraws the announcement.
  ~Discovery();

  // For people: "mDNS through the system's Avahi". Waits at most half a second for the first
  // attempt.
  std::string status() const;

 private:
  void run();
  void run_once();
  void set_status(std::string status);

  const Announcement announcement_;
  mutable std::mutex mutex_;
  mutable std::condition_variable known_;
  std::string status_;  // empty during the first attempt
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::cluster
