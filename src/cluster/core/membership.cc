#include "cluster/core/membership.h"

#include <algorithm>
#include <charconv>

#include "base/limits.h"
#include "base/result.h"

namespace hearth::cluster {
namespace {

constexpr size_t kAddressBytesMax = 256;
constexpr int kDialsMax = 32;  // at the same time
// A tick that comes this late means that this device was stopped: others are not to blame for their
// silence.
constexpr Duration kStall = std::chrono::seconds(2);
// A device that says goodbye may still answer for a moment.
constexpr Duration kGoodbyePause = std::chrono::seconds(5);

}  // namespace

bool valid_address(std::string_view address) {
  const size_t colon = address.rfind(':');
  if (address.size() > kAddressBytesMax || colon == std::string_view::npos || colon == 0)
    return false;
  const std::string_view host = address.substr(0, colon);
  const std::string_view digits = address.substr(colon + 1);
  int port = 0;
  const auto [end, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failure != std::errc() || end != digits.data() + digits.size() || port < 1 || port > 65535) {
    return false;
  }
  const bool bracketed = host.front() == '[';
  if (bracketed != (host.back() == ']') || (bracketed && host.size() < 4)) return false;
  return std::all_of(host.begin(), host.end(), [bracketed](char c) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                       c == '.' || c == '-' || c == '_';
    return plain || (bracketed && (c == ':' || c == '%' || c == '[' || c == ']'));
  });
}

void Membership::add_address(const std::string& address, Source source, const DeviceId& hint,
                             TimePoint now) {
  if (!valid_address(address) || hint == self_ || own_addresses_.contains(address)) return;
  auto found = addresses_.find(address);
  if (found == addresses_.end()) {
    if (addresses_.size() >= static_cast<size_t>(limits::kAddressesMax)) return;
    found = addresses_.emplace(address, Address{.next_dial = now, .last_useful = now}).first;
  }
  found->second.configured |= source == Source::kConfigured;
  if (found->second.id.empty()) found->second.id = hint;
}

void Membership::retry(const std::string& address, TimePoint now) {
  const auto found = addresses_.find(address);
  if (found == addresses_.end()) return;
  found->second.backoff = kDialBackoffMin;
  found->second.next_dial = std::min(found->second.next_dial, now);
}

void Membership::set_own_addresses(const std::vector<std::string>& addresses) {
  own_addresses_ = std::set<std::string>(addresses.begin(), addresses.end());
}

void Membership::add_known(const DeviceId& id, TimePoint now) {
  if (id == self_ || peers_.contains(id) || peers_.size() + 1 >= limits::kDevicesMax) return;
  peers_.emplace(id, Peer{.id = id, .offline_since = now});
}

bool Membership::admit(const DeviceId& id, TimePoint now) {
  add_known(id, now);
  const auto found = peers_.find(id);
  if (found == peers_.end()) return false;
  found->second.member = true;
  heard(id, now);
  return true;
}

void Membership::heard(const DeviceId& id, TimePoint now) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !found->second.member) return;
  Peer& peer = found->second;
  peer.last_heard = now;
  peer.misses = 0;
  set_status(peer, DeviceStatus::kOnline, now);
}

bool Membership::linked(const std::string& address, const DeviceId& id, TimePoint now) {
  Address& entry = addresses_[address];
  entry.dialling = false;
  entry.id = id;
  entry.backoff = kDialBackoffMin;
  entry.last_useful = now;
  entry.own = id == self_;
  if (entry.own) return false;
  const auto found = peers_.find(id);
  if (found == peers_.end()) return false;
  Peer& peer = found->second;
  if (!peer.address.empty() && peer.address != address) return false;
  peer.address = address;
  peer.next_beat = now;
  peer.beat_call = 0;
  return true;
}

void Membership::dial_failed(const std::string& address, bool refused, TimePoint now) {
  const auto found = addresses_.find(address);
  if (found == addresses_.end()) return;
  Address& entry = found->second;
  entry.dialling = false;
  entry.next_dial = now + (refused ? kRefusedBackoff : entry.backoff);
  entry.backoff = std::min(2 * entry.backoff, kDialBackoffMax);
  closed_.push_back(address);
  // A link whose hello fails is none.
  for (auto& [id, peer] : peers_) {
    if (peer.address == address) drop_link(peer);
  }
}

void Membership::link_closed(const std::string& address, TimePoint now) {
  for (auto& [id, peer] : peers_) {
    if (peer.address != address) continue;
    peer.beat_call = 0;
    missed(peer, now);
    peer.next_beat = now;
  }
}

void Membership::goodbye(const DeviceId& id, TimePoint now) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  found->second.member = false;
  set_status(found->second, DeviceStatus::kOffline, now);
  for (auto& [text, address] : addresses_) {
    if (address.id == id) address.next_dial = now + kGoodbyePause;
  }
}

void Membership::beat_started(const DeviceId& id, uint64_t call, TimePoint now) {
  Peer& peer = peers_.at(id);
  peer.beat_call = call;
  peer.beat_sent = now;
  peer.next_beat = now + kHeartbeat;
}

void Membership::beat_answered(const DeviceId& id, uint64_t call, TimePoint now) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  heard(id, now);
  if (found->second.beat_call == call) found->second.beat_call = 0;
  if (const auto address = addresses_.find(found->second.address); address != addresses_.end()) {
    address->second.last_useful = now;
  }
}

void Membership::beat_failed(const DeviceId& id, uint64_t call, TimePoint now) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.beat_call != call || call == 0) return;
  found->second.beat_call = 0;
  missed(found->second, now);
}

void Membership::beat_soon(const DeviceId& id, TimePoint now) {
  const auto found = peers_.find(id);
  if (found != peers_.end()) found->second.next_beat = std::min(found->second.next_beat, now);
}

void Membership::missed(Peer& peer, TimePoint now) {
  ++peer.misses;
  peer.next_beat = now + kProbe;
  if (peer.status == DeviceStatus::kOffline) return;
  if (peer.misses >= kOfflineMisses) {
    set_status(peer, DeviceStatus::kOffline, now);
  } else if (peer.misses >= kSuspectMisses) {
    set_status(peer, DeviceStatus::kSuspect, now);
  }
}

void Membership::set_status(Peer& peer, DeviceStatus status, TimePoint now) {
  if (peer.status == status) return;
  peer.status = status;
  changes_.push_back({peer.id, status});
  if (status == DeviceStatus::kOnline) peer.was_online = true;
  if (status == DeviceStatus::kOffline) {
    peer.offline_since = now;
    drop_link(peer);
  }
  if (status == DeviceStatus::kSuspect) return;
  for (auto& [text, address] : addresses_) {
    if (address.id != peer.id) continue;
    address.backoff = kDialBackoffMin;
    // Back online without a link: find one. Offline: look again in a second.
    address.next_dial = status == DeviceStatus::kOnline ? now : now + kDialBackoffMin;
  }
}

void Membership::drop_link(Peer& peer) {
  if (peer.address.empty()) return;
  closed_.push_back(peer.address);
  peer.address.clear();
  peer.beat_call = 0;
}

bool Membership::wanted(const Address& address) const {
  if (address.own || address.dialling) return false;
  const auto peer = peers_.find(address.id);
  return peer == peers_.end() || peer->second.address.empty();
}

Membership::Due Membership::tick(TimePoint now) {
  if (last_tick_ != TimePoint{} && now - last_tick_ > kStall) {
    for (auto& [id, peer] : peers_) {
      peer.last_heard = now;
      peer.beat_sent = now;
      peer.next_beat = now;
    }
  }
  last_tick_ = now;
  Due due;
  tick_peers(now, due);
  tick_addresses(now, due);
  return due;
}

void Membership::tick_peers(TimePoint now, Due& due) {
  for (auto& [id, peer] : peers_) {
    if (peer.status == DeviceStatus::kOffline) {
      if (now - peer.offline_since >= kForget) due.forgotten.push_back(id);
      continue;
    }
    if (peer.address.empty()) {
      if (now - peer.last_heard >= kSilenceMax) set_status(peer, DeviceStatus::kOffline, now);
      continue;
    }
    if (peer.beat_call != 0 && now - peer.beat_sent >= kProbe) {
      peer.beat_call = 0;
      missed(peer, now);
      peer.next_beat = now;
    }
    if (peer.status != DeviceStatus::kOffline && peer.beat_call == 0 && now >= peer.next_beat) {
      due.beats.push_back(id);
    }
  }
  for (const DeviceId& id : due.forgotten) {
    peers_.erase(id);
    std::erase_if(addresses_, [&id](const auto& entry) {
      return entry.second.id == id && !entry.second.configured && !entry.second.dialling;
    });
  }
}

void Membership::tick_addresses(TimePoint now, Due& due) {
  int dialling = 0;
  for (const auto& [text, address] : addresses_) dialling += address.dialling ? 1 : 0;
  for (auto& [text, address] : addresses_) {
    if (dialling >= kDialsMax) break;
    if (now < address.next_dial || !wanted(address)) continue;
    address.dialling = true;
    ++dialling;
    due.dials.push_back(text);
  }
  std::erase_if(addresses_, [now](const auto& entry) {
    const Address& address = entry.second;
    return !address.configured && !address.dialling && !address.own &&
           now - address.last_useful >= kForget;
  });
}

const Peer* Membership::find(const DeviceId& id) const {
  const auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : &found->second;
}

bool Membership::is_member(const DeviceId& id) const {
  const auto found = peers_.find(id);
  return found != peers_.end() && found->second.member;
}

}  // namespace hearth::cluster
