#include "cluster/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/log.h"
#include "base/queue.h"
#include "cluster/core/core.h"
#include "cluster/discovery/discovery.h"
#include "cluster/peers/client.h"
#include "cluster/peers/own_addresses.h"
#include "cluster/peers/server.h"
#include "cluster/state/store_writer.h"

namespace hearth::cluster {
namespace {

constexpr size_t kEventsMax = 8192;
constexpr size_t kEventsPerTick = 256;
constexpr size_t kNameBytesMax = 64;
constexpr Duration kAddressRefresh = std::chrono::seconds(15);
constexpr Duration kGoodbyeTimeout = std::chrono::milliseconds(500);

int64_t unix_ms_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// What other threads see of the core. Immutable.
struct Snapshot {
  ClusterView view;
  TimePoint at{};
  std::set<DeviceId> members;
};

struct Watcher {
  // Recursive: a callback may let go of its own handle.
  std::recursive_mutex mutex;
  std::function<void()> changed;
};

class ClusterImpl final : public Cluster {
 public:
  static Result<std::unique_ptr<Cluster>> start(ClusterOptions options);
  ~ClusterImpl() override;

  int port() const override { return server_->port(); }
  std::string discovery_status() const override {
    return discovery_ == nullptr ? "mDNS is switched off" : discovery_->status();
  }
  ClusterView view() const override;
  std::shared_ptr<void> watch(std::function<void()> changed) override;
  void set_facts(const DeviceFacts& facts) override { inbox_.push(event::SetFacts{facts}); }
  void set_runners(const std::vector<RunnerView>& runners) override {
    inbox_.push(event::SetRunners{runners});
  }
  Result<InstanceId> create_instance(const InstanceRequest& request) override;
  Result<void> delete_instance(const InstanceId& id) override;
  Result<std::shared_ptr<grpc::Channel>> channel(const DeviceId& id) const override;

 private:
  using Promise = std::promise<Result<InstanceId>>;

  ClusterImpl(Identity identity, std::unique_ptr<Store> store)
      : client_(std::move(identity),
                [this](event::Answered answered) { inbox_.push(std::move(answered)); }),
        writer_(std::move(store)) {}

  void run();
  void carry_out(Actions actions);
  void store(Actions& actions);
  void stored(const std::vector<Done>& done, const Result<void>& outcome);
  void publish();
  void notify();
  std::shared_ptr<const Snapshot> snapshot() const;
  std::pair<uint64_t, std::future<Result<InstanceId>>> issue_ticket();
  void settle_ticket(uint64_t ticket, Result<InstanceId> result);
  void abandon_tickets();

  std::string listen_;
  BoundedQueue<Event> inbox_{kEventsMax};
  mutable std::mutex mutex_;
  std::shared_ptr<const Snapshot> snapshot_;
  std::vector<std::weak_ptr<Watcher>> watchers_;
  std::map<uint64_t, Promise> tickets_;
  uint64_t last_ticket_ = 0;

  // In the order in which they stop, last first.
  PeerClient client_;
  StoreWriter writer_;
  std::unique_ptr<PeerServer> server_;
  std::unique_ptr<Core> core_;  // used by thread_ alone
  std::unique_ptr<Discovery> discovery_;
  TimePoint next_address_refresh_{};
  std::thread thread_;
};

Result<void> check_options(const ClusterOptions& options) {
  const bool printable = std::all_of(options.name.begin(), options.name.end(),
                                     [](char c) { return c >= ' ' && c <= '~'; });
  if (options.name.empty() || options.name.size() > kNameBytesMax || !printable) {
    return Error(Code::kInvalidArgument,
                 fmt::format("the cluster's name must be 1 to {} plain characters", kNameBytesMax));
  }
  for (const std::string& peer : options.peers) {
    if (!valid_address(peer)) {
      return Error(Code::kInvalidArgument,
                   fmt::format("'{}' is not HOST:PORT, as in 192.168.1.20:52416", peer));
    }
  }
  if (options.port < 0 || options.port > 65535) {
    return Error(Code::kInvalidArgument, fmt::format("{} is not a port", options.port));
  }
  return {};
}

Result<std::unique_ptr<Cluster>> ClusterImpl::start(ClusterOptions options) {
  HEARTH_RETURN_IF_ERROR(check_options(options));
  HEARTH_TRY(std::unique_ptr<Store> store, Store::open(options.state_path, unix_ms_now()));
  const Store::Contents contents = store->contents();
  std::unique_ptr<ClusterImpl> cluster(new ClusterImpl(options.identity, std::move(store)));
  cluster->listen_ = options.listen;
  ClusterImpl* self = cluster.get();

  PeerServer::Options serving{.identity = options.identity,
                              .listen = options.listen,
                              .port = options.port,
                              .services = options.services};
  serving.is_member = [self](const DeviceId& id) {
    const auto snapshot = self->snapshot();
    return snapshot != nullptr && snapshot->members.contains(id);
  };
  serving.sink = [self](event::Called called) { return self->inbox_.try_push(std::move(called)); };
  HEARTH_TRY(cluster->server_, PeerServer::start(std::move(serving)));

  DeviceFacts facts = std::move(options.facts);
  facts.joined_unix_ms = contents.joined_unix_ms;
  facts.addresses = own_addresses(options.listen, cluster->server_->port());
  cluster->core_ = std::make_unique<Core>(CoreOptions{.self = options.identity.id,
                                                      .cluster = options.name,
                                                      .software = facts.version,
                                                      .device_port = cluster->server_->port(),
                                                      .boot = contents.boot,
                                                      .facts = std::move(facts),
                                                      .peers = std::move(options.peers),
                                                      .known = contents.addresses,
                                                      .documents = contents.documents,
                                                      .random_hex = random_hex});
  cluster->carry_out(cluster->core_->tick(RealClock().now(), unix_ms_now(), {}));

  if (options.discovery && !is_loopback_host(options.listen)) {
    cluster->discovery_ = std::make_unique<Discovery>(Announcement{
        .id = options.identity.id,
        .cluster = options.name,
        .port = cluster->server_->port(),
        .found = [self](event::Discovered found) { self->inbox_.push(std::move(found)); }});
  }
  cluster->thread_ = std::thread([self] { self->run(); });
  return std::unique_ptr<Cluster>(std::move(cluster));
}

ClusterImpl::~ClusterImpl() {
  discovery_.reset();
  inbox_.close();
  if (thread_.joinable()) thread_.join();
  if (core_ != nullptr) {
    for (const Call& call : core_->goodbye()) client_.start(call);
    client_.drain(kGoodbyeTimeout);
  }
  if (server_ != nullptr) server_->stop();
  abandon_tickets();
}

void ClusterImpl::run() {
  Duration wait{0};
  while (true) {
    std::vector<Event> events;
    if (auto first = inbox_.pop_for(wait)) events.push_back(std::move(*first));
    if (inbox_.closed()) return;
    while (!events.empty() && events.size() < kEventsPerTick) {
      auto next = inbox_.try_pop();
      if (!next) break;
      events.push_back(std::move(*next));
    }
    const TimePoint now = RealClock().now();
    for (std::string& address : client_.take_lost()) {
      events.push_back(event::LinkClosed{std::move(address)});
    }
    if (now >= next_address_refresh_) {
      next_address_refresh_ = now + kAddressRefresh;
      events.push_back(event::OwnAddresses{own_addresses(listen_, server_->port())});
    }
    Actions actions = core_->tick(now, unix_ms_now(), std::move(events));
    wait = actions.next_tick;
    carry_out(std::move(actions));
  }
}

void ClusterImpl::carry_out(Actions actions) {
  if (actions.view_changed) publish();
  store(actions);
  for (const std::string& address : actions.close) client_.close(address);
  for (const Call& call : actions.calls) client_.start(call);
  for (const Answer& answer : actions.answers) server_->answer(answer);
  for (const LogLine& line : actions.log) {
    if (log::enabled(line.level)) log::write(line.level, line.text);
  }
  if (actions.view_changed) notify();
}

void ClusterImpl::store(Actions& actions) {
  if (actions.save.empty() && actions.erase.empty() && actions.remember.empty() &&
      actions.forget.empty() && actions.done.empty()) {
    return;
  }
  writer_.write({.save = std::move(actions.save),
                 .erase = std::move(actions.erase),
                 .remember = std::move(actions.remember),
                 .forget = std::move(actions.forget)},
                [this, done = std::move(actions.done)](const Result<void>& outcome) {
                  stored(done, outcome);
                });
}

void ClusterImpl::stored(const std::vector<Done>& done, const Result<void>& outcome) {
  for (const Done& one : done) {
    if (outcome || !one.result) {
      settle_ticket(one.ticket, one.result);
    } else {
      settle_ticket(one.ticket,
                    outcome.error().context("done, but only until this device restarts"));
    }
  }
}

void ClusterImpl::publish() {
  auto snapshot = std::make_shared<Snapshot>();
  snapshot->view = core_->view();
  snapshot->at = RealClock().now();
  for (const auto& [id, peer] : core_->membership().peers()) {
    if (peer.member) snapshot->members.insert(id);
  }
  std::lock_guard lock(mutex_);
  snapshot_ = std::move(snapshot);
}

void ClusterImpl::notify() {
  std::vector<std::shared_ptr<Watcher>> watchers;
  {
    std::lock_guard lock(mutex_);
    std::erase_if(watchers_, [](const auto& watcher) { return watcher.expired(); });
    for (const auto& watcher : watchers_) {
      if (auto alive = watcher.lock()) watchers.push_back(std::move(alive));
    }
  }
  for (const auto& watcher : watchers) {
    std::lock_guard lock(watcher->mutex);
    // A copy: the callback may let go of its handle, and with it of the original.
    if (const auto changed = watcher->changed) changed();
  }
}

std::shared_ptr<const Snapshot> ClusterImpl::snapshot() const {
  std::lock_guard lock(mutex_);
  return snapshot_;
}

ClusterView ClusterImpl::view() const {
  const auto snapshot = this->snapshot();
  ClusterView view = snapshot->view;
  const auto since = RealClock().now() - snapshot->at;
  for (auto& [id, device] : view.devices) {
    if (id == view.self) continue;
    device.last_seen_ms_ago += std::chrono::duration_cast<std::chrono::milliseconds>(since).count();
  }
  return view;
}

std::shared_ptr<void> ClusterImpl::watch(std::function<void()> changed) {
  auto watcher = std::make_shared<Watcher>();
  watcher->changed = std::move(changed);
  {
    std::lock_guard lock(mutex_);
    watchers_.push_back(watcher);
  }
  // When the handle goes, no call is under way and none will come.
  return std::shared_ptr<void>(watcher.get(), [watcher](void*) {
    std::lock_guard lock(watcher->mutex);
    watcher->changed = nullptr;
  });
}

std::pair<uint64_t, std::future<Result<InstanceId>>> ClusterImpl::issue_ticket() {
  std::lock_guard lock(mutex_);
  const uint64_t ticket = ++last_ticket_;
  return {ticket, tickets_[ticket].get_future()};
}

void ClusterImpl::settle_ticket(uint64_t ticket, Result<InstanceId> result) {
  std::lock_guard lock(mutex_);
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return;
  found->second.set_value(std::move(result));
  tickets_.erase(found);
}

void ClusterImpl::abandon_tickets() {
  std::lock_guard lock(mutex_);
  for (auto& [ticket, promise] : tickets_) {
    promise.set_value(Error(Code::kUnavailable, "this device stops"));
  }
  tickets_.clear();
}

Result<InstanceId> ClusterImpl::create_instance(const InstanceRequest& request) {
  auto [ticket, outcome] = issue_ticket();
  if (!inbox_.push(event::CreateInstance{ticket, request})) abandon_tickets();
  return outcome.get();
}

Result<void> ClusterImpl::delete_instance(const InstanceId& id) {
  auto [ticket, outcome] = issue_ticket();
  if (!inbox_.push(event::DeleteInstance{ticket, id})) abandon_tickets();
  const Result<InstanceId> result = outcome.get();
  if (!result) return result.error();
  return {};
}

Result<std::shared_ptr<grpc::Channel>> ClusterImpl::channel(const DeviceId& id) const {
  const auto snapshot = this->snapshot();
  const auto found = snapshot->view.devices.find(id);
  if (found != snapshot->view.devices.end() && found->second.status != DeviceStatus::kOffline) {
    if (auto channel = client_.channel(found->second.reachable_at, id)) return channel;
  }
  return Error(Code::kUnavailable,
               fmt::format("device {} is not online", snapshot->view.name_of(id)));
}

}  // namespace

Result<std::unique_ptr<Cluster>> Cluster::start(ClusterOptions options) {
  return ClusterImpl::start(std::move(options));
}

}  // namespace hearth::cluster
