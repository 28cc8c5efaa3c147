#include "daemon/link_monitor.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "cluster/cluster.h"
#include "daemon/address.h"
#include "fabric/interface.h"
#include "fabric/link_probe.h"
#include "proto/links.grpc.pb.h"

namespace hearth::daemon {
namespace {

using cluster::LinkFacts;

constexpr std::chrono::milliseconds kLook(500);
constexpr std::chrono::seconds kRefresh(30);
constexpr std::chrono::seconds kRetry(2);  // of a device that no path reaches
constexpr int kBandwidthEvery = 10;        // rounds; a path that was down is tried again then, too
constexpr int kAskTimeoutMs = 2000;
constexpr int kProbeTimeoutMs = 1500;

// Where `device` answers probes, or why it does not.
Result<proto::OpenProbeReply> ask(cluster::Cluster& cluster, const DeviceId& device) {
  HEARTH_TRY(const std::shared_ptr<grpc::Channel> channel, cluster.channel(device));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(kAskTimeoutMs));
  proto::OpenProbeReply reply;
  const grpc::Status status =
      proto::Links::NewStub(channel)->OpenProbe(&context, proto::OpenProbeRequest(), &reply);
  if (!status.ok()) {
    return Error(Code::kUnavailable, "it does not say where to measure: " + status.error_message());
  }
  if (reply.port() < 1 || reply.port() > 65535) {
    return Error(Code::kUnavailable, "it does not say where to measure, but nonsense");
  }
  return reply;
}

bool close(int64_t a, int64_t b) { return std::abs(a - b) * 4 < std::max(a, b); }

// The path to `host`; of one measured before, bandwidth only if `burst`.
LinkFacts measure_path(const proto::OpenProbeReply& probe, const std::string& host, bool burst,
                       LinkFacts link) {
  const auto measured = fabric::probe_link(host, probe.port(), probe.token(),
                                           {.bandwidth = burst, .timeout_ms = kProbeTimeoutMs});
  if (!measured.ok()) {
    link.error = measured.error().code() == Code::kPermissionDenied ? "another device answers there"
                                                                    : measured.error().message();
    return link;
  }
  const fabric::Interface interface = fabric::interface_with(measured->local_host);
  link.error.clear();
  link.local_host = measured->local_host;
  link.interface = interface.name;
  link.kind = fabric::is_own_host(measured->peer_host) ? "loopback" : interface.kind;
  link.rdma_ports = interface.rdma_ports;
  link.latency_ns = static_cast<int64_t>(measured->latency_us * 1000);
  if (burst) link.bits_per_second = static_cast<int64_t>(measured->bits_per_second);
  return link;
}

}  // namespace

LinkFacts settled(const LinkFacts& told, const LinkFacts& measured) {
  LinkFacts link = measured;
  if (!told.up() || !measured.up()) return link;
  if (close(told.latency_ns, measured.latency_ns)) link.latency_ns = told.latency_ns;
  if (close(told.bits_per_second, measured.bits_per_second)) {
    link.bits_per_second = told.bits_per_second;
  }
  return link;
}

std::vector<std::string> hosts_of(const cluster::DeviceView& device) {
  std::vector<std::string> hosts;
  const auto add = [&hosts](const std::string& address) {
    const std::string host = split_address(address).host;
    if (!host.empty() && std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(host);
  };
  for (const std::string& address : device.facts.addresses) add(address);
  add(device.reachable_at);
  return hosts;
}

LinkMonitor::LinkMonitor(cluster::Cluster* cluster, std::function<void()> changed)
    : cluster_(cluster), changed_(std::move(changed)) {
  thread_ = std::thread([this] { loop(); });
}

LinkMonitor::~LinkMonitor() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
  }
  thread_.join();
}

std::vector<LinkFacts> LinkMonitor::links() const {
  std::lock_guard lock(mutex_);
  return links_;
}

bool LinkMonitor::Peer::reached() const {
  return std::ranges::any_of(links, [](const auto& link) { return link.second.up(); });
}

bool LinkMonitor::stopping() const {
  std::lock_guard lock(mutex_);
  return stopping_;
}

void LinkMonitor::loop() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLook, [this] { return stopping_; })) {
    lock.unlock();
    look();
    lock.lock();
  }
}

void LinkMonitor::look() {
  const cluster::ClusterView view = cluster_->view();
  const auto is_here = [&view](const DeviceId& id) {
    const auto device = view.devices.find(id);
    return id != view.self && device != view.devices.end() &&
           device->second.status != cluster::DeviceStatus::kOffline;
  };
  std::erase_if(peers_, [&](const auto& peer) { return !is_here(peer.first); });
  std::vector<const cluster::DeviceView*> due;
  for (const auto& [id, device] : view.devices) {
    if (is_here(id) && peers_[id].next <= RealClock().now()) due.push_back(&device);
  }
  // New ones first: plans wait for their links.
  std::ranges::stable_partition(
      due, [this](const auto* device) { return peers_[device->facts.id].rounds == 0; });
  for (const cluster::DeviceView* device : due) {
    if (stopping()) return;
    Peer& peer = peers_[device->facts.id];
    measure(*device, peer);
    ++peer.rounds;
    peer.next = RealClock().now() + (peer.reached() ? kRefresh : kRetry);
    tell();
  }
  tell();
}

void LinkMonitor::tell() {
  std::vector<LinkFacts> all;
  for (const auto& [id, peer] : peers_) {
    for (const auto& [host, link] : peer.links) all.push_back(link);
  }
  {
    std::lock_guard lock(mutex_);
    if (all == links_) return;
    links_ = std::move(all);
  }
  changed_();
}

void LinkMonitor::measure(const cluster::DeviceView& device, Peer& peer) {
  const auto probe = ask(*cluster_, device.facts.id);
  // The second round's bursts are not disturbed by a start.
  const bool burst = peer.rounds < 2 || peer.rounds % kBandwidthEvery == 0 || !peer.reached();
  std::map<std::string, LinkFacts> links;
  for (const std::string& host : hosts_of(device)) {
    const auto known = peer.links.find(host);
    const bool fresh = known == peer.links.end();
    LinkFacts link =
        fresh ? LinkFacts{.to = device.facts.id, .host = host, .error = "new"} : known->second;
    if (!probe.ok()) {
      link.error = probe.error().message();
    } else if (link.up() || fresh || burst) {
      // Also a burst where none was yet.
      const LinkFacts now = measure_path(*probe, host, burst || !link.up(), link);
      link = settled(link, now);
    }
    links[host] = std::move(link);
    if (stopping()) return;
  }
  peer.links = std::move(links);
}

}  // namespace hearth::daemon
