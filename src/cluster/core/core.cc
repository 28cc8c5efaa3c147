#include "cluster/core/core.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>

#include "base/limits.h"
#include "cluster/state/bodies.h"

namespace hearth::cluster {
namespace {

constexpr size_t kModelBytesMax = 512;
constexpr Duration kPruneInterval = std::chrono::hours(1);
constexpr Duration kLogInterval = std::chrono::minutes(1);
constexpr size_t kLogSubjectsMax = 1024;

}  // namespace

Core::Core(CoreOptions options)
    : options_(std::move(options)),
      self_(options_.self),
      documents_(self_, options_.boot),
      membership_(self_),
      planner_(options_.random_hex) {
  documents_.load(options_.documents);
  for (const auto& [key, document] : documents_.all()) {
    const auto parsed = parse_key(key);
    if (parsed) apply(*parsed, document.deleted ? nullptr : &document);
  }
  facts_[self_] = options_.facts;
  facts_[self_].id = self_;
}

Actions Core::tick(TimePoint now, int64_t unix_ms, std::vector<Event> events) {
  now_ = now;
  unix_ms_ = unix_ms;
  actions_ = Actions{};
  if (!started_) {
    started_ = now;
    for (const std::string& peer : options_.peers) {
      membership_.add_address(peer, Membership::Source::kConfigured, DeviceId(), now);
    }
    for (const KnownAddress& known : options_.known) {
      membership_.add_address(known.address, Membership::Source::kFound, known.id, now);
    }
    write_own();
  }
  for (Event& event : events) {
    std::visit([this](auto& what) { handle(what); }, event);
  }
  const Membership::Due due = membership_.tick(now);
  for (const DeviceId& id : due.forgotten) forget(id);
  for (std::string& address : membership_.take_closed()) {
    actions_.close.push_back(std::move(address));
    view_dirty_ = true;
  }
  report_changes();
  apply_changes();
  rebuild_view();
  if (view_.coordinator == self_) plan();

  for (const std::string& address : due.dials) start_hello(address);
  for (const DeviceId& id : due.beats) start_beat(id);
  start_pushes();
  if (now >= next_prune_) {
    next_prune_ = now + kPruneInterval;
    actions_.erase = documents_.prune(unix_ms);
  }
  if (!dirty_.empty()) actions_.next_tick = kPushDelay;
  return std::exchange(actions_, {});
}

std::vector<Call> Core::goodbye() {
  actions_ = Actions{};
  for (const auto& [id, peer] : membership_.peers()) {
    if (peer.address.empty()) continue;
    start_call(Purpose::kGoodbye, peer.address, id, GoodbyeRequest{});
  }
  return std::move(actions_.calls);
}

void Core::handle(event::OwnAddresses& own) {
  membership_.set_own_addresses(own.addresses);
  if (facts_[self_].addresses == own.addresses) return;
  facts_[self_].addresses = std::move(own.addresses);
  write_own();
}

void Core::handle(event::SetFacts& set) {
  DeviceFacts& facts = facts_[self_];
  set.facts.id = self_;
  set.facts.addresses = std::move(facts.addresses);
  set.facts.joined_unix_ms = facts.joined_unix_ms;
  facts = std::move(set.facts);
  write_own();
}

void Core::handle(event::SetRunners& set) {
  for (RunnerView& runner : set.runners) runner.device = self_;
  runners_[self_] = std::move(set.runners);
  write_own();
}

void Core::handle(event::CreateInstance& create) {
  const auto fail = [&](Code code, std::string message) {
    actions_.done.push_back({create.ticket, Error(code, std::move(message))});
  };
  const InstanceRequest& wanted = create.request;
  if (wanted.model.empty() || wanted.model.size() > kModelBytesMax) {
    return fail(Code::kInvalidArgument, "an instance needs the name of a model");
  }
  if (wanted.min_devices < 1 || wanted.min_devices > limits::kRanksMax) {
    return fail(Code::kInvalidArgument,
                fmt::format("an instance runs on 1 to {} devices", limits::kRanksMax));
  }
  if (std::ranges::find(kShardings, wanted.sharding) == std::end(kShardings)) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is not one of {}", wanted.sharding, fmt::join(kShardings, ", ")));
  }
  if (instances_.size() >= static_cast<size_t>(limits::kInstancesMax) || documents_.full()) {
    return fail(Code::kResourceExhausted,
                fmt::format("the cluster already has {} instances; delete one", instances_.size()));
  }
  InstanceView instance;
  instance.id = InstanceId(options_.random_hex(8));
  instance.model = wanted.model;
  instance.min_devices = wanted.min_devices;
  instance.kv = wanted.kv;
  instance.sharding = wanted.sharding;
  instance.created_unix_ms = unix_ms_;
  write(instance_key(instance.id.str()), encode(instance), 0);
  actions_.done.push_back({create.ticket, instance.id});
}

void Core::handle(event::DeleteInstance& remove) {
  const std::string key = instance_key(remove.id.str());
  if (documents_.find(key) == nullptr) {
    const Error error(Code::kNotFound, fmt::format("there is no instance {}", remove.id.str()));
    actions_.done.push_back({remove.ticket, error});
    return;
  }
  documents_.remove(key, unix_ms_);
  if (dirty_.empty()) dirty_since_ = now_;
  dirty_.insert(key);
  actions_.done.push_back({remove.ticket, remove.id});
}

void Core::write(const std::string& key, std::string body, int64_t epoch) {
  documents_.write(key, std::move(body), epoch, unix_ms_);
  if (dirty_.empty()) dirty_since_ = now_;
  dirty_.insert(key);
}

// This device's own documents, where they say something new.
void Core::write_own() {
  const auto update = [this](const std::string& key, std::string body) {
    const Document* present = documents_.find(key);
    if (present == nullptr || present->body != body) write(key, std::move(body), 0);
  };
  update(device_key(self_.str()), encode(facts_[self_]));
  update(runners_key(self_.str()), encode(runners_[self_]));
}

// Takes what changed in the documents over into the decoded copies.
void Core::apply_changes() {
  for (const std::string& text : documents_.take_changed()) {
    const auto key = parse_key(text);
    const auto found = documents_.all().find(text);
    if (!key || found == documents_.all().end()) continue;
    view_dirty_ = true;
    if (key->kind == DocumentKind::kInstance) actions_.save.push_back(found->second);
    // Its own facts a device knows better.
    if (key->kind != DocumentKind::kInstance && key->id == self_.str()) continue;
    apply(*key, found->second.deleted ? nullptr : &found->second);
  }
}

void Core::apply(const DocumentKey& key, const Document* document) {
  if (key.kind == DocumentKind::kInstance) {
    const InstanceId id(key.id);
    instances_.erase(id);
    if (document == nullptr) return;
    Result<InstanceView> instance = decode_instance(id, document->body);
    if (!instance) return log_rarely(document->key, instance.error().message());
    instances_.emplace(id, std::move(*instance));
    return;
  }
  const DeviceId id(key.id);
  if (document == nullptr || id == self_) return;
  if (key.kind == DocumentKind::kRunners) {
    auto runners = decode_runners(id, document->body);
    if (!runners) return log_rarely(document->key, runners.error().message());
    runners_[id] = std::move(*runners);
    return;
  }
  Result<DeviceFacts> facts = decode_facts(id, document->body);
  if (!facts) return log_rarely(document->key, facts.error().message());
  membership_.add_known(id, now_);
  for (const std::string& address : facts->addresses) {
    membership_.add_address(address, Membership::Source::kFound, id, now_);
  }
  facts_[id] = std::move(*facts);
  if (unnamed_.erase(id) > 0) log(log::Level::kInfo, fmt::format("{} is online", name_of(id)));
}

void Core::forget(const DeviceId& id) {
  log(log::Level::kInfo, fmt::format("forgetting {}, which was offline for long", name_of(id)));
  documents_.forget(id);
  facts_.erase(id);
  runners_.erase(id);
  pushes_.erase(id);
  remembered_.erase(id);
  unnamed_.erase(id);
  actions_.forget.push_back(id);
  view_dirty_ = true;
}

void Core::rebuild_view() {
  if (!std::exchange(view_dirty_, false)) return;
  plan_dirty_ = true;
  actions_.view_changed = true;
  view_ = ClusterView{.cluster_name = options_.cluster, .self = self_};
  view_.devices[self_] = {.facts = facts_[self_], .status = DeviceStatus::kOnline};
  view_.runners = runners_[self_];
  view_.instances = instances_;
  for (const auto& [id, peer] : membership_.peers()) {
    // Shown once it has said who it is, milliseconds after its first hello.
    const auto facts = facts_.find(id);
    if (facts == facts_.end()) continue;
    DeviceView& device = view_.devices[id];
    device.facts = facts->second;
    device.status = peer.status;
    device.reachable_at = peer.address;
    const TimePoint seen = peer.was_online ? peer.last_heard : peer.offline_since;
    device.last_seen_ms_ago =
        std::chrono::duration_cast<std::chrono::milliseconds>(now_ - seen).count();
    if (peer.status == DeviceStatus::kOffline) continue;
    const auto runners = runners_.find(id);
    if (runners == runners_.end()) continue;
    view_.runners.insert(view_.runners.end(), runners->second.begin(), runners->second.end());
  }
  // Longest in the cluster, then the least id.
  std::pair<int64_t, DeviceId> first(facts_[self_].joined_unix_ms, self_);
  for (const auto& [id, device] : view_.devices) {
    if (device.status == DeviceStatus::kOffline) continue;
    first = std::min(first, std::pair(device.facts.joined_unix_ms, id));
  }
  view_.coordinator = first.second;
}

void Core::plan() {
  const bool changed = std::exchange(plan_dirty_, false);
  const auto lost_device = [this](const DeviceId& id) { return lost(id); };
  for (const InstanceView& instance : planner_.tick(now_, unix_ms_, view_, changed, lost_device)) {
    write(instance_key(instance.id.str()), encode(instance), instance.plan.epoch);
    if (!instance.plan.empty() && instance.plan.epoch != view_.instances[instance.id].plan.epoch) {
      log(log::Level::kInfo,
          fmt::format("{} is planned on {} device(s)", instance.model, instance.plan.ranks.size()));
    }
  }
  apply_changes();
  rebuild_view();
}

bool Core::lost(const DeviceId& id) const {
  if (id == self_) return false;
  const Peer* peer = membership_.find(id);
  if (peer != nullptr && peer->status != DeviceStatus::kOffline) return false;
  return (peer != nullptr && peer->was_online) || now_ - *started_ >= kSettle;
}

void Core::report_changes() {
  for (const Membership::Change& change : membership_.take_changes()) {
    view_dirty_ = true;
    const std::string name = name_of(change.id);
    switch (change.status) {
      case DeviceStatus::kOnline:
        // A new device's name is still on its way.
        if (facts_.contains(change.id)) {
          log(log::Level::kInfo, fmt::format("{} is online", name));
        } else {
          unnamed_.insert(change.id);
        }
        break;
      case DeviceStatus::kSuspect:
        log(log::Level::kInfo, fmt::format("{} does not answer", name));
        break;
      case DeviceStatus::kOffline:
        unnamed_.erase(change.id);
        log(log::Level::kWarn, fmt::format("{} is offline", name));
        break;
    }
  }
}

void Core::log_rarely(const std::string& subject, std::string text) {
  if (logged_.size() >= kLogSubjectsMax) logged_.clear();
  const auto [last, fresh] = logged_.try_emplace(subject, now_);
  if (!fresh && now_ - last->second < kLogInterval) return;
  last->second = now_;
  log(log::Level::kWarn, std::move(text));
}

std::string Core::name_of(const DeviceId& id) const {
  const auto found = facts_.find(id);
  if (found == facts_.end() || found->second.name.empty()) return id.brief();
  return fmt::format("{} ({})", found->second.name, id.brief());
}

}  // namespace hearth::cluster
