// The cluster's rules without sockets, threads, clocks or disk: tick(now, events) -> actions.
// Everything that a device does in its cluster is decided here, and can be run for hours in a
// test's second.
//
// Parts: state/ (documents and their merge), membership.h (who is there), planner.h (the
// coordinator).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/result.h"
#include "cluster/core/membership.h"
#include "cluster/core/messages.h"
#include "cluster/core/planner.h"
#include "cluster/state/documents.h"
#include "cluster/view.h"

namespace hearth::cluster {

// Local writes wait this long for others, to travel together.
inline constexpr Duration kPushDelay = std::chrono::milliseconds(20);
inline constexpr Duration kTick = std::chrono::milliseconds(100);
// After a start, planned devices that were not heard yet get this long to be found before they
// count as lost.
inline constexpr Duration kSettle = std::chrono::seconds(10);

// Where a device was reached before; kept on disk so that devices find each other again without
// discovery.
struct KnownAddress {
  DeviceId id;
  std::string address;
  auto operator<=>(const KnownAddress&) const = default;
};

// What happened. Every Call is answered by one Answered; every Called is to be answered by one
// Answer.
namespace event {
struct Answered {
  enum class Outcome {
    kOk,
    kUnreachable,  // refused, closed, or another device than before
    kTimeout,
  };
  uint64_t call = 0;
  Outcome outcome = Outcome::kOk;
  DeviceId from;  // by its certificate
  Reply reply;    // kOk
  std::string error;
};
struct Called {
  uint64_t call = 0;
  DeviceId from;     // by its certificate
  std::string host;  // "10.0.0.2" or "[fe80::1%eth0]": where the call came from
  Request request;
};
struct LinkClosed {
  std::string address;
};
// Announced by discovery; nothing of it is proven.
struct Discovered {
  DeviceId id;
  std::string cluster;
  std::string address;
};
struct OwnAddresses {
  std::vector<std::string> addresses;
};
struct SetFacts {
  DeviceFacts facts;
};
struct SetRunners {
  std::vector<RunnerView> runners;
};
// Answered by a Done with the same ticket.
struct CreateInstance {
  uint64_t ticket = 0;
  InstanceRequest request;
};
struct DeleteInstance {
  uint64_t ticket = 0;
  InstanceId id;
};
}  // namespace event

using Event = std::variant<event::Answered, event::Called, event::LinkClosed, event::Discovered,
                           event::OwnAddresses, event::SetFacts, event::SetRunners,
                           event::CreateInstance, event::DeleteInstance>;

struct Call {
  uint64_t id = 0;
  std::string address;
  Request request;
};
struct Answer {
  uint64_t call = 0;
  Reply reply;
};
struct Done {
  uint64_t ticket = 0;
  Result<InstanceId> result;
};
struct LogLine {
  log::Level level;
  std::string text;
};

// What is to be done, in this order.
struct Actions {
  bool view_changed = false;
  std::vector<Document> save;  // the store replaces documents of the same key
  std::vector<std::string> erase;
  std::vector<KnownAddress> remember;  // replaces what is known of these devices
  std::vector<DeviceId> forget;
  std::vector<std::string> close;  // connections to these addresses
  std::vector<Call> calls;
  std::vector<Answer> answers;
  std::vector<Done> done;  // once `save` is on disk
  std::vector<LogLine> log;
  Duration next_tick = kTick;  // at the latest, even without events
};

struct CoreOptions {
  DeviceId self;
  std::string cluster;
  std::string software;
  int device_port = 0;
  uint64_t boot = 1;  // counts the starts of this device
  DeviceFacts facts;  // joined_unix_ms counts; id and addresses are filled in
  std::vector<std::string> peers;
  std::vector<KnownAddress> known;
  std::vector<Document> documents;
  std::function<std::string(int bytes)> random_hex;
};

// Not thread-safe.
class Core {
 public:
  explicit Core(CoreOptions options);

  // `unix_ms` is for people and ties only; `now` rules. REQUIRES: now does not go back.
  Actions tick(TimePoint now, int64_t unix_ms, std::vector<Event> events);
  // Says goodbye to everybody; the core is not ticked again.
  std::vector<Call> goodbye();

  // As of the last tick; last_seen_ms_ago as of then, too.
  const ClusterView& view() const { return view_; }
  const Membership& membership() const { return membership_; }
  const Documents& documents() const { return documents_; }

 private:
  enum class Purpose { kHello, kBeat, kPush, kGoodbye };
  struct Outgoing {
    Purpose purpose;
    std::string address;
    DeviceId to;  // empty for a first hello
  };
  struct PushState {
    std::set<std::string> keys;
    bool under_way = false;
  };

  void handle(event::Answered& answered);
  void handle(event::Called& called);
  void handle(event::LinkClosed& closed);
  void handle(event::Discovered& discovered);
  void handle(event::OwnAddresses& own);
  void handle(event::SetFacts& set);
  void handle(event::SetRunners& set);
  void handle(event::CreateInstance& create);
  void handle(event::DeleteInstance& remove);

  HelloReply welcome(const event::Called& called, const HelloRequest& hello);
  SyncReply synchronise(const DeviceId& from, const SyncRequest& request);
  void answered_hello(const Outgoing& call, const event::Answered& answered);
  void answered_sync(const Outgoing& call, const event::Answered& answered);
  void accept(const DeviceId& from, const std::vector<Document>& documents);

  void write(const std::string& key, std::string body, int64_t epoch);
  void write_own();
  void apply_changes();
  void apply(const DocumentKey& key, const Document* document);
  void forget(const DeviceId& id);
  void rebuild_view();
  void plan();

  void start_call(Purpose purpose, const std::string& address, const DeviceId& to, Request request);
  void start_hello(const std::string& address);
  void start_beat(const DeviceId& id);
  void start_pushes();
  std::vector<Document> take_documents(std::set<std::string>& keys) const;
  void report_changes();
  void log(log::Level level, std::string text) { actions_.log.push_back({level, std::move(text)}); }
  // At most once a minute about one subject.
  void log_rarely(const std::string& subject, std::string text);
  std::string name_of(const DeviceId& id) const;
  bool lost(const DeviceId& id) const;

  const CoreOptions options_;
  const DeviceId self_;
  Documents documents_;
  Membership membership_;
  Planner planner_;

  // The documents, decoded.
  std::map<DeviceId, DeviceFacts> facts_;
  std::map<DeviceId, std::vector<RunnerView>> runners_;
  std::map<InstanceId, InstanceView> instances_;

  ClusterView view_;
  bool view_dirty_ = true;
  bool plan_dirty_ = true;  // the view changed since the planner saw it

  std::optional<TimePoint> started_;
  TimePoint now_{};
  int64_t unix_ms_ = 0;
  Actions actions_;
  uint64_t last_call_ = 0;
  std::map<uint64_t, Outgoing> outgoing_;
  std::map<DeviceId, PushState> pushes_;
  std::set<std::string> dirty_;  // written here and not yet pushed
  TimePoint dirty_since_{};
  TimePoint next_prune_{};
  std::map<std::string, TimePoint> logged_;
  std::map<DeviceId, std::string> remembered_;
  std::set<DeviceId> unnamed_;  // online, and not yet reported so
};

}  // namespace hearth::cluster
