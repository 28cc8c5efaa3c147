// Measures the links from this device to the others: every address that each of them publishes,
// latency every 30 s, bandwidth every 5 min and twice at first.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cluster/view.h"

namespace hearth::cluster {
class Cluster;
}

namespace hearth::daemon {

// What is told of a link that was `told` before and is `measured` now: numbers that differ by less
// than a quarter are noise and stay, so that the cluster does not talk of it.
cluster::LinkFacts settled(const cluster::LinkFacts& told, const cluster::LinkFacts& measured);

// The hosts at which a device may be reached: those that it publishes, and the one that answered.
std::vector<std::string> hosts_of(const cluster::DeviceView& device);

// Works on its own thread from construction to destruction, one path at a time so that measurements
// do not disturb each other. Thread-safe.
class LinkMonitor {
 public:
  // `cluster` must outlive it. `changed` is called, from its thread, when links() differs.
  LinkMonitor(cluster::Cluster* cluster, std::function<void()> changed);
  ~LinkMonitor();

  // To all devices that are not offline, in order of device and host.
  std::vector<cluster::LinkFacts> links() const;

 private:
  struct Peer {
    TimePoint next{};
    int rounds = 0;                                   // of measurements so far
    std::map<std::string, cluster::LinkFacts> links;  // by host

    bool reached() const;  // over any address
  };

  void loop();
  // Measures the devices that are due.
  void look();
  // Of what peers_ holds, if it is new.
  void tell();
  void measure(const cluster::DeviceView& device, Peer& peer);
  bool stopping() const;

  cluster::Cluster* const cluster_;
  const std::function<void()> changed_;
  std::map<DeviceId, Peer> peers_;  // of thread_ alone

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::vector<cluster::LinkFacts> links_;
  std::thread thread_;
};

}  // namespace hearth::daemon
