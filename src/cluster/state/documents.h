// All replicated documents of a device, and how they grow together with those of its peers.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cluster/state/document.h"

namespace hearth::cluster {

// Not thread-safe: belongs to the core.
class Documents {
 public:
  // `boot` counts this device's starts. Every write's counter lies above boot << 32, so that a
  // write which was sent but not stored before a crash is never confused with a later one.
  Documents(DeviceId self, uint64_t boot);

  // Takes stored documents as they are; invalid ones are dropped.
  void load(std::vector<Document> stored);

  // A write by this device; makes or replaces the document. REQUIRES: check() passes on the
  // outcome.
  void write(const std::string& key, std::string body, int64_t epoch, int64_t unix_ms);
  // Leaves a tombstone. REQUIRES: the document exists.
  void remove(const std::string& key, int64_t unix_ms);

  enum class Merge {
    kUnchanged,  // nothing new, or not acceptable
    kChanged,
    kReclaim,  // a peer has a newer copy of this device's own document: write it again
  };
  // REQUIRES: check(document) passed.
  Merge merge(const Document& document);

  // Nothing when unknown or deleted.
  const Document* find(const std::string& key) const;
  const std::map<std::string, Document>& all() const { return all_; }

  std::vector<DocumentVersion> digest() const;

  struct Difference {
    std::vector<const Document*> newer_here;  // or concurrent
    std::vector<std::string> newer_there;     // or concurrent
  };
  Difference difference(const std::vector<DocumentVersion>& digest) const;

  // Drops a device's own documents; copies of them that are not newer stay refused.
  void forget(const DeviceId& device);
  // Drops tombstones that are too old or too many; returns their keys.
  std::vector<std::string> prune(int64_t unix_ms);

  // Keys changed since the last call, deleted and merged ones included.
  std::set<std::string> take_changed();
  bool full() const;

 private:
  uint64_t next_count(const Document& document) const;

  const DeviceId self_;
  const uint64_t count_floor_;
  std::map<std::string, Document> all_;
  std::map<std::string, VectorClock> forgotten_;
  std::set<std::string> changed_;
};

}  // namespace hearth::cluster
