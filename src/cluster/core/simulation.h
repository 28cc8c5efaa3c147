// A whole cluster in one thread, for tests: cores, a network that loses, delays and parts, disks,
// and a daemon's worth of runners, all drawn from one seed. The same seed gives the same run.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/units.h"
#include "cluster/core/core.h"

namespace hearth::cluster {

inline ModelFacts simulated_model() {
  return {.id = "ember",
          .name = "Ember",
          .architecture = "llama",
          .encoding = "F16",
          .layers = 12,
          .context = 512,
          .layer_bytes = 100_MiB,
          .embedding_bytes = 50_MiB,
          .head_bytes = 50_MiB,
          .kv_layer_bytes = {{"q16", 512}}};
}

class Simulation {
 public:
  struct Node {
    std::string name;
    DeviceId id;
    std::string address;
    std::vector<std::string> peers;
    int64_t memory = 0;
    // On disk; survives crashes.
    uint64_t boot = 0;
    int64_t joined_unix_ms = 0;
    std::map<std::string, Document> documents;
    std::map<DeviceId, std::string> addresses;
    // The process.
    std::unique_ptr<Core> core;
    bool paused = false;
    TimePoint next_tick{};
    std::vector<Event> events;
    std::map<uint64_t, Result<InstanceId>> done;
    std::map<InstanceId, int64_t> epochs;  // of the runners it has
    std::vector<std::string> log;
  };

  explicit Simulation(uint64_t seed) : random_(seed) {}

  double loss = 0;  // of each message
  Duration delay_max = std::chrono::milliseconds(20);
  bool runners_work = true;
  ModelFacts model = simulated_model();  // of devices that start

  // A device that knows `peers` (names of devices added before).
  Node& add(const std::string& name, const std::vector<std::string>& peers,
            int64_t memory = 4_GiB) {
    auto node = std::make_unique<Node>();
    node->name = name;
    node->memory = memory;
    node->id = DeviceId(fmt::format("{:064x}", 0xabc000 + nodes_.size() * 7919 % 101));
    node->address = fmt::format("10.0.0.{}:52416", nodes_.size() + 1);
    for (const std::string& peer : peers) node->peers.push_back(at(peer).address);
    nodes_.push_back(std::move(node));
    start(name);
    return *nodes_.back();
  }

  Node& at(const std::string& name) {
    return **std::find_if(nodes_.begin(), nodes_.end(),
                          [&name](const auto& node) { return node->name == name; });
  }
  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }

  void start(const std::string& name) {
    Node& node = at(name);
    if (node.joined_unix_ms == 0) node.joined_unix_ms = unix_ms();
    CoreOptions options{.self = node.id,
                        .cluster = "hearth",
                        .software = "test",
                        .device_port = 52416,
                        .boot = ++node.boot,
                        .peers = node.peers};
    options.facts.name = name;
    options.facts.memory_total_bytes = node.memory;
    options.facts.memory_available_bytes = node.memory;
    options.facts.joined_unix_ms = node.joined_unix_ms;
    options.facts.addresses = {node.address};
    options.facts.models = {model};
    for (const auto& [id, address] : node.addresses) options.known.push_back({id, address});
    for (const auto& [key, document] : node.documents) options.documents.push_back(document);
    options.random_hex = [this](int bytes) {
      std::string text;
      for (int i = 0; i < bytes; ++i) text += fmt::format("{:02x}", random_() & 0xff);
      return text;
    };
    node.core = std::make_unique<Core>(std::move(options));
    node.paused = false;
    node.events.clear();
    node.epochs.clear();
    node.next_tick = now_;
    ++incarnation_[&node];
  }

  // kill -9: its host refuses connections from now on.
  void crash(const std::string& name) {
    Node& node = at(name);
    node.core.reset();
    for (const auto& other : nodes_) {
      if (!reachable(node, *other)) continue;
      send(*other, event::LinkClosed{node.address});
    }
  }
  void stop(const std::string& name) {
    Node& node = at(name);
    for (const Call& call : node.core->goodbye()) carry(node, call);
    crash(name);
  }
  // SIGSTOP and SIGCONT.
  void pause(const std::string& name) { at(name).paused = true; }
  void resume(const std::string& name) {
    Node& node = at(name);
    node.paused = false;
    // What arrived meanwhile is read after the first look at the clock.
    post(std::chrono::milliseconds(50), [this, &node, late = std::exchange(node.events, {})] {
      for (const Event& event : late) send(node, event);
    });
  }
  // All runners die, and so do those after them until `runners_work` again.
  void kill_runners() {
    runners_work = false;
    for (Node* node : running()) node->events.push_back(event::SetRunners{runners_of(*node)});
  }
  // A device that can call, but not be called: behind a firewall.
  void shield(const std::string& name) { shielded_.insert(name); }
  // Devices of different groups do not reach each other. Empty: all do.
  void part(std::map<std::string, int> groups) { groups_ = std::move(groups); }

  uint64_t create(const std::string& name, int min_devices, const std::string& sharding = "auto") {
    at(name).events.push_back(event::CreateInstance{
        ++tickets_, {.model = "ember", .min_devices = min_devices, .sharding = sharding}});
    return tickets_;
  }
  // `name` tells how fast it is, and its links to the devices `to`; down ones if `error` says why.
  void measure(const std::string& name, const std::vector<std::string>& to,
               const std::string& error = "") {
    Node& node = at(name);
    DeviceFacts facts = node.core->view().devices.at(node.id).facts;
    facts.memory_bytes_per_second = 20'000'000'000;
    facts.multiply_adds_per_second = 500'000'000'000;
    facts.links.clear();
    for (const std::string& other : to) {
      facts.links.push_back({.to = at(other).id,
                             .host = "10.0.0.9",
                             .kind = "ethernet",
                             .latency_ns = 20'000,
                             .bits_per_second = 9'000'000'000,
                             .error = error});
    }
    node.events.push_back(event::SetFacts{std::move(facts)});
  }
  void remove(const std::string& name, const InstanceId& id) {
    at(name).events.push_back(event::DeleteInstance{++tickets_, id});
  }
  void discover(const std::string& name, const std::string& other, const std::string& cluster) {
    at(name).events.push_back(event::Discovered{at(other).id, cluster, at(other).address});
  }

  void run_for(Duration duration) {
    const TimePoint end = now_ + duration;
    while (now_ < end) {
      now_ += std::chrono::milliseconds(10);
      while (!mail_.empty() && mail_.begin()->first.first <= now_) {
        const auto deliver = std::move(mail_.begin()->second);
        mail_.erase(mail_.begin());
        deliver();
      }
      for (const auto& node : nodes_) step(*node);
    }
  }
  // Runs until `condition` holds; how long it took, or nothing when it did not within `limit`.
  template <class Condition>
  std::optional<Duration> run_until(Condition condition, Duration limit) {
    const TimePoint begin = now_;
    while (!condition()) {
      if (now_ - begin >= limit) return std::nullopt;
      run_for(std::chrono::milliseconds(10));
    }
    return now_ - begin;
  }

  DeviceStatus status(const std::string& name, const std::string& other) {
    const auto& devices = at(name).core->view().devices;
    const auto found = devices.find(at(other).id);
    return found == devices.end() ? DeviceStatus::kOffline : found->second.status;
  }
  std::vector<Node*> running() {
    std::vector<Node*> list;
    for (const auto& node : nodes_) {
      if (node->core != nullptr) list.push_back(node.get());
    }
    return list;
  }
  // Every running device sees every other running one, and no one else, as online.
  bool all_see_all() {
    for (Node* node : running()) {
      for (const auto& other : nodes_) {
        const bool online = status(node->name, other->name) == DeviceStatus::kOnline;
        if (online != (other->core != nullptr)) return false;
      }
    }
    return true;
  }
  TimePoint now() const { return now_; }
  std::mt19937_64& random() { return random_; }

 private:
  int64_t unix_ms() const {
    return 1'700'000'000'000 +
           std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch()).count();
  }
  bool lost() { return loss > 0 && std::uniform_real_distribution<>(0, 1)(random_) < loss; }
  Duration delay() {
    return Duration(std::uniform_int_distribution<int64_t>(200'000, delay_max.count())(random_));
  }
  bool reachable(const Node& a, const Node& b) {
    const auto group = [this](const Node& node) {
      const auto found = groups_.find(node.name);
      return found == groups_.end() ? 0 : found->second;
    };
    return group(a) == group(b);
  }
  template <class Deliver>
  void post(Duration after, Deliver deliver) {
    mail_.emplace(std::pair(now_ + after, ++letters_), std::move(deliver));
  }
  // To the process that runs now, if it still does then.
  void send(Node& to, Event event) {
    post(delay(), [this, &to, event = std::move(event), age = incarnation_[&to]] {
      if (to.core != nullptr && incarnation_[&to] == age) to.events.push_back(event);
    });
  }

  void carry(Node& from, const Call& call) {
    const auto found = std::find_if(nodes_.begin(), nodes_.end(), [&call](const auto& node) {
      return node->address == call.address;
    });
    const auto answer_late = [this, &from, id = call.id, age = incarnation_[&from]] {
      if (from.core == nullptr || incarnation_[&from] != age) return;
      from.events.push_back(
          event::Answered{.call = id, .outcome = event::Answered::Outcome::kTimeout});
    };
    post(std::chrono::seconds(4), answer_late);
    if (found == nodes_.end() || !reachable(from, **found) || lost() ||
        shielded_.contains((*found)->name))
      return;
    Node& to = **found;
    if (to.core == nullptr) {
      send(from, event::Answered{.call = call.id,
                                 .outcome = event::Answered::Outcome::kUnreachable,
                                 .error = "refused"});
      return;
    }
    calls_[++letters_] = {&from, call.id, incarnation_[&from]};
    send(to, event::Called{.call = letters_,
                           .from = from.id,
                           .host = from.address.substr(0, from.address.find(':')),
                           .request = call.request});
  }

  void answer(Node& from, const Answer& answer) {
    const auto found = calls_.find(answer.call);
    if (found == calls_.end()) return;
    const Caller caller = found->second;
    calls_.erase(found);
    if (!reachable(from, *caller.node) || lost() ||
        incarnation_[caller.node] != caller.incarnation) {
      return;
    }
    send(*caller.node,
         event::Answered{.call = caller.call, .from = from.id, .reply = answer.reply});
  }

  void step(Node& node) {
    if (node.core == nullptr || node.paused || (node.events.empty() && now_ < node.next_tick))
      return;
    Actions actions = node.core->tick(now_, unix_ms(), std::exchange(node.events, {}));
    node.next_tick = now_ + actions.next_tick;
    for (const Document& document : actions.save) node.documents[document.key] = document;
    for (const std::string& key : actions.erase) node.documents.erase(key);
    for (const KnownAddress& known : actions.remember) node.addresses[known.id] = known.address;
    for (const DeviceId& id : actions.forget) node.addresses.erase(id);
    for (const Call& call : actions.calls) carry(node, call);
    for (const Answer& what : actions.answers) answer(node, what);
    for (const Done& done : actions.done) node.done.emplace(done.ticket, done.result);
    for (const LogLine& line : actions.log) node.log.push_back(line.text);
    if (actions.view_changed) run_runners(node);
  }

  // What a daemon does: one runner for each rank of a present plan, ready a second later.
  void run_runners(Node& node) {
    std::map<InstanceId, int64_t> wanted;
    std::vector<RunnerView> runners = runners_of(node);
    for (const RunnerView& runner : runners) wanted[runner.instance] = runner.epoch;
    if (wanted == node.epochs) return;
    node.epochs = wanted;
    post(std::chrono::seconds(1),
         [this, &node, runners = std::move(runners), age = incarnation_[&node]] {
           if (node.core != nullptr && incarnation_[&node] == age) {
             node.events.push_back(event::SetRunners{runners});
           }
         });
  }

  std::vector<RunnerView> runners_of(const Node& node) const {
    std::vector<RunnerView> runners;
    for (const auto& [id, instance] : node.core->view().instances) {
      for (size_t rank = 0; rank < instance.plan.ranks.size(); ++rank) {
        const RankPlan& shard = instance.plan.ranks[rank];
        if (shard.device != node.id) continue;
        const int layers = shard.layer_end - shard.layer_begin;
        runners.push_back({.instance = id,
                           .epoch = instance.plan.epoch,
                           .rank = static_cast<int>(rank),
                           .status = runners_work ? RunnerStatus::kReady : RunnerStatus::kFailed,
                           .layers_loaded = runners_work ? layers : 0,
                           .layers_total = layers,
                           .error = runners_work ? "" : "out of memory"});
      }
    }
    return runners;
  }

  struct Caller {
    Node* node = nullptr;
    uint64_t call = 0;
    int incarnation = 0;
  };

  std::mt19937_64 random_;
  TimePoint now_{std::chrono::hours(1)};
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<Node*, int> incarnation_;
  std::map<std::string, int> groups_;
  std::set<std::string> shielded_;
  std::map<std::pair<TimePoint, uint64_t>, std::function<void()>> mail_;
  std::map<uint64_t, Caller> calls_;
  uint64_t letters_ = 0;
  uint64_t tickets_ = 0;
};

}  // namespace hearth::cluster
