#include "cluster/state/documents.h"

#include <algorithm>
#include <chrono>

#include "base/limits.h"

namespace hearth::cluster {
namespace {

// A device that was away for longer than this could bring back what was deleted meanwhile.
constexpr int64_t kTombstoneAgeMaxMs =
    std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::days(30)).count();

}  // namespace

Documents::Documents(DeviceId self, uint64_t boot)
    : self_(std::move(self)), count_floor_(std::min<uint64_t>(boot, (1u << 20) - 1) << 32) {}

void Documents::load(std::vector<Document> stored) {
  for (Document& document : stored) {
    if (full() || !check(document)) continue;
    std::string key = document.key;
    all_.insert_or_assign(std::move(key), std::move(document));
  }
}

uint64_t Documents::next_count(const Document& document) const {
  const auto mine = document.version.find(self_.str());
  return std::max(mine == document.version.end() ? 0 : mine->second, count_floor_) + 1;
}

void Documents::write(const std::string& key, std::string body, int64_t epoch, int64_t unix_ms) {
  Document& document = all_[key];
  document.key = key;
  document.body = std::move(body);
  document.deleted = false;
  document.epoch = std::max(document.epoch, epoch);
  document.written_unix_ms = std::max(unix_ms, document.written_unix_ms + 1);
  document.version[self_.str()] = next_count(document);
  changed_.insert(key);
}

void Documents::remove(const std::string& key, int64_t unix_ms) {
  const int64_t epoch = all_.at(key).epoch;
  write(key, "", epoch, unix_ms);
  all_.at(key).deleted = true;
}

Documents::Merge Documents::merge(const Document& document) {
  const auto found = all_.find(document.key);
  if (found == all_.end()) {
    if (const auto old = forgotten_.find(document.key); old != forgotten_.end()) {
      if (compare(document.version, old->second) != Order::kAfter) return Merge::kUnchanged;
      forgotten_.erase(old);
    }
    if (full()) return Merge::kUnchanged;
    all_.emplace(document.key, document);
    changed_.insert(document.key);
    return Merge::kChanged;
  }

  Document& mine = found->second;
  const Order order = compare(document.version, mine.version);
  if (order == Order::kEqual || order == Order::kBefore) return Merge::kUnchanged;
  changed_.insert(document.key);
  if (const auto key = parse_key(document.key);
      key && key->kind != DocumentKind::kInstance && key->id == self_.str()) {
    mine.version = document.version;
    return Merge::kReclaim;
  }
  if (order == Order::kAfter) {
    mine = document;
    return Merge::kChanged;
  }
  VectorClock both = mine.version;
  for (const auto& [device, count] : document.version) {
    both[device] = std::max(both[device], count);
  }
  if (wins(document, mine)) mine = document;
  mine.version = std::move(both);
  return Merge::kChanged;
}

const Document* Documents::find(const std::string& key) const {
  const auto found = all_.find(key);
  return found == all_.end() || found->second.deleted ? nullptr : &found->second;
}

std::vector<DocumentVersion> Documents::digest() const {
  std::vector<DocumentVersion> versions;
  versions.reserve(all_.size());
  for (const auto& [key, document] : all_) versions.push_back({key, document.version});
  return versions;
}

Documents::Difference Documents::difference(const std::vector<DocumentVersion>& digest) const {
  Difference difference;
  std::set<std::string_view> theirs;
  for (const auto& [key, version] : digest) {
    theirs.insert(key);
    const auto found = all_.find(key);
    if (found == all_.end()) {
      const auto old = forgotten_.find(key);
      const bool news = old == forgotten_.end() || compare(version, old->second) == Order::kAfter;
      if (news && parse_key(key)) difference.newer_there.push_back(key);
      continue;
    }
    const Order order = compare(version, found->second.version);
    if (order == Order::kBefore || order == Order::kConcurrent) {
      difference.newer_here.push_back(&found->second);
    }
    if (order == Order::kAfter || order == Order::kConcurrent)
      difference.newer_there.push_back(key);
  }
  for (const auto& [key, document] : all_) {
    if (!theirs.contains(key)) difference.newer_here.push_back(&document);
  }
  return difference;
}

void Documents::forget(const DeviceId& device) {
  for (const std::string& key : {device_key(device.str()), runners_key(device.str())}) {
    const auto found = all_.find(key);
    if (found == all_.end()) continue;
    if (forgotten_.size() >= 2 * limits::kDevicesMax) forgotten_.erase(forgotten_.begin());
    forgotten_[key] = found->second.version;
    all_.erase(found);
  }
}

std::vector<std::string> Documents::prune(int64_t unix_ms) {
  std::vector<std::pair<int64_t, std::string>> tombstones;
  for (const auto& [key, document] : all_) {
    if (document.deleted) tombstones.emplace_back(document.written_unix_ms, key);
  }
  std::sort(tombstones.begin(), tombstones.end());
  std::vector<std::string> pruned;
  for (size_t i = 0; i < tombstones.size(); ++i) {
    const bool too_many = tombstones.size() - i > limits::kTombstonesMax;
    if (!too_many && tombstones[i].first > unix_ms - kTombstoneAgeMaxMs) break;
    all_.erase(tombstones[i].second);
    pruned.push_back(tombstones[i].second);
  }
  return pruned;
}

std::set<std::string> Documents::take_changed() { return std::exchange(changed_, {}); }

bool Documents::full() const { return all_.size() >= static_cast<size_t>(limits::kDocumentsMax); }

}  // namespace hearth::cluster
