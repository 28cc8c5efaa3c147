// The part of the core that talks: hello, heartbeats, pushes, and what comes back.
#include <fmt/format.h>

#include <algorithm>

#include "base/limits.h"
#include "cluster/core/core.h"

namespace hearth::cluster {
namespace {

constexpr size_t kGossipedPeersMax = 64;

bool is_loopback(std::string_view address) {
  return address.starts_with("127.") || address.starts_with("[::1]") ||
         address.starts_with("localhost");
}

}  // namespace

void Core::start_call(Purpose purpose, const std::string& address, const DeviceId& to,
                      Request request) {
  outgoing_[++last_call_] = {purpose, address, to};
  actions_.calls.push_back({last_call_, address, std::move(request)});
}

void Core::start_hello(const std::string& address) {
  start_call(Purpose::kHello, address, DeviceId(),
             HelloRequest{.cluster = options_.cluster,
                          .protocol = kProtocol,
                          .software = options_.software,
                          .device = self_,
                          .device_port = options_.device_port});
}

void Core::start_beat(const DeviceId& id) {
  SyncRequest request{.digest = documents_.digest(),
                      .documents = take_documents(pushes_[id].keys),
                      .device_port = options_.device_port};
  start_call(Purpose::kBeat, membership_.find(id)->address, id, std::move(request));
  membership_.beat_started(id, last_call_, now_);
}

// Local writes go to everybody at once; who is not reached finds them missing at the next
// heartbeat.
void Core::start_pushes() {
  if (!dirty_.empty() && now_ - dirty_since_ >= kPushDelay) {
    for (const auto& [id, peer] : membership_.peers()) {
      if (!peer.address.empty()) pushes_[id].keys.insert(dirty_.begin(), dirty_.end());
    }
    dirty_.clear();
  }
  for (auto& [id, push] : pushes_) {
    if (push.keys.empty() || push.under_way) continue;
    const Peer* peer = membership_.find(id);
    if (peer == nullptr || peer->address.empty()) {
      push.keys.clear();
      continue;
    }
    SyncRequest request{.documents = take_documents(push.keys),
                        .device_port = options_.device_port};
    if (request.documents.empty()) continue;
    push.under_way = true;
    start_call(Purpose::kPush, peer->address, id, std::move(request));
  }
}

// As many as one message may hold; their keys leave the set.
std::vector<Document> Core::take_documents(std::set<std::string>& keys) const {
  std::vector<Document> documents;
  size_t bytes = 0;
  while (!keys.empty() && bytes < static_cast<size_t>(limits::kSyncBytesMax)) {
    const auto found = documents_.all().find(*keys.begin());
    if (found != documents_.all().end()) {
      bytes += found->second.bytes();
      documents.push_back(found->second);
    }
    keys.erase(keys.begin());
  }
  return documents;
}

void Core::handle(event::Answered& answered) {
  const auto found = outgoing_.find(answered.call);
  if (found == outgoing_.end()) return;
  const Outgoing call = std::move(found->second);
  outgoing_.erase(found);
  switch (call.purpose) {
    case Purpose::kHello:
      return answered_hello(call, answered);
    case Purpose::kBeat:
    case Purpose::kPush:
      return answered_sync(call, answered);
    case Purpose::kGoodbye:
      return;
  }
}

void Core::answered_hello(const Outgoing& call, const event::Answered& answered) {
  const auto* reply = std::get_if<HelloReply>(&answered.reply);
  if (answered.outcome != event::Answered::Outcome::kOk || reply == nullptr) {
    const std::string why = answered.error.empty() ? "not a hearth device" : answered.error;
    const bool configured = std::find(options_.peers.begin(), options_.peers.end(), call.address) !=
                            options_.peers.end();
    if (configured) {
      log_rarely("dial " + call.address,
                 fmt::format("cannot reach {}: {}; is hearth running there, and its port open?",
                             call.address, why));
    }
    return membership_.dial_failed(call.address, false, now_);
  }
  if (!reply->refusal.empty()) {
    log_rarely("refused " + call.address,
               fmt::format("{} refused this device: {:.200}", call.address, reply->refusal));
    return membership_.dial_failed(call.address, true, now_);
  }
  const bool self = answered.from == self_;
  if (reply->device != answered.from || (!self && !membership_.admit(answered.from, now_))) {
    log_rarely("hello " + call.address,
               fmt::format("{} is not who it says, or the cluster is full", call.address));
    return membership_.dial_failed(call.address, true, now_);
  }
  const std::string before = self ? "" : membership_.find(answered.from)->address;
  if (membership_.linked(call.address, answered.from, now_)) {
    view_dirty_ = view_dirty_ || before != call.address;
    if (std::exchange(remembered_[answered.from], call.address) != call.address) {
      actions_.remember.push_back({answered.from, call.address});
    }
  } else {
    actions_.close.push_back(call.address);
  }
  for (const std::string& peer : reply->peers) {
    membership_.add_address(peer, Membership::Source::kFound, DeviceId(), now_);
  }
}

void Core::answered_sync(const Outgoing& call, const event::Answered& answered) {
  PushState& push = pushes_[call.to];
  if (call.purpose == Purpose::kPush) push.under_way = false;
  if (answered.outcome != event::Answered::Outcome::kOk) {
    // A push that failed is made good by the next heartbeat, which also finds out whether this is
    // the end.
    if (call.purpose == Purpose::kPush) return membership_.beat_soon(call.to, now_);
    // Unanswered ones the membership counts by itself, sooner.
    if (answered.outcome == event::Answered::Outcome::kTimeout) return;
    return membership_.beat_failed(call.to, answered.call, now_);
  }
  if (call.purpose == Purpose::kBeat) {
    membership_.beat_answered(call.to, answered.call, now_);
  } else {
    membership_.heard(call.to, now_);
  }
  if (std::holds_alternative<NotMember>(answered.reply)) {
    const Peer* peer = membership_.find(call.to);
    if (peer != nullptr && peer->address == call.address) start_hello(call.address);
    return;
  }
  const auto* reply = std::get_if<SyncReply>(&answered.reply);
  if (reply == nullptr) return;
  accept(call.to, reply->documents);
  for (const std::string& key : reply->wanted) {
    if (documents_.all().contains(key)) push.keys.insert(key);
  }
}

void Core::handle(event::Called& called) {
  Reply reply;
  if (const auto* hello = std::get_if<HelloRequest>(&called.request)) {
    reply = welcome(called, *hello);
  } else if (!membership_.is_member(called.from)) {
    reply = NotMember{};
  } else if (const auto* sync = std::get_if<SyncRequest>(&called.request)) {
    reply = synchronise(called.from, *sync);
  } else {
    membership_.goodbye(called.from, now_);
    reply = GoodbyeReply{};
  }
  actions_.answers.push_back({called.call, std::move(reply)});
}

HelloReply Core::welcome(const event::Called& called, const HelloRequest& hello) {
  HelloReply reply{.device = self_};
  const std::string who = fmt::format("{:.64}", called.host);
  if (hello.device != called.from) {
    reply.refusal = "the id said and the certificate's differ";
  } else if (hello.cluster != options_.cluster) {
    reply.refusal = fmt::format("this device belongs to cluster '{}', the caller to '{:.64}'",
                                options_.cluster, hello.cluster);
  } else if (hello.protocol != kProtocol) {
    reply.refusal =
        fmt::format("this device speaks protocol {}, the caller {}: update the older of the two",
                    kProtocol, hello.protocol);
  } else if (called.from != self_ && !membership_.admit(called.from, now_)) {
    reply.refusal = "the cluster is full";
  }
  if (!reply.refusal.empty()) {
    log_rarely("hello from " + who, fmt::format("refused a device at {}: {}", who, reply.refusal));
    return reply;
  }
  if (called.from == self_) return reply;

  const std::string address = fmt::format("{}:{}", called.host, hello.device_port);
  membership_.add_address(address, Membership::Source::kFound, called.from, now_);
  membership_.retry(address, now_);
  // It may have started anew and know nothing.
  membership_.beat_soon(called.from, now_);
  for (const auto& [id, peer] : membership_.peers()) {
    if (id == called.from || peer.address.empty() || reply.peers.size() >= kGossipedPeersMax)
      continue;
    if (is_loopback(peer.address) && !is_loopback(called.host)) continue;
    reply.peers.push_back(peer.address);
  }
  return reply;
}

SyncReply Core::synchronise(const DeviceId& from, const SyncRequest& request) {
  membership_.heard(from, now_);
  accept(from, request.documents);
  SyncReply reply;
  if (request.digest.empty()) return reply;
  Documents::Difference difference = documents_.difference(request.digest);
  reply.wanted = std::move(difference.newer_there);
  size_t bytes = 0;
  for (const Document* document : difference.newer_here) {
    if (bytes >= static_cast<size_t>(limits::kSyncBytesMax)) break;
    bytes += document->bytes();
    reply.documents.push_back(*document);
  }
  return reply;
}

void Core::accept(const DeviceId& from, const std::vector<Document>& documents) {
  for (const Document& document : documents) {
    if (const auto good = check(document); !good) {
      log_rarely("documents of " + from.str(),
                 fmt::format("ignored from {}: {}", name_of(from), good.error().message()));
      continue;
    }
    if (documents_.merge(document) != Documents::Merge::kReclaim) continue;
    const Document* mine = documents_.find(document.key);
    write(document.key, std::string(mine->body), 0);
  }
}

void Core::handle(event::LinkClosed& closed) { membership_.link_closed(closed.address, now_); }

void Core::handle(event::Discovered& discovered) {
  if (discovered.id == self_) return;
  if (discovered.cluster != options_.cluster) {
    log_rarely("discovered " + discovered.id.str(),
               fmt::format("a device at {} belongs to another cluster, '{:.64}'; start hearth with "
                           "--cluster to choose",
                           discovered.address, discovered.cluster));
    return;
  }
  membership_.add_address(discovered.address, Membership::Source::kFound, discovered.id, now_);
  membership_.retry(discovered.address, now_);
}

}  // namespace hearth::cluster
