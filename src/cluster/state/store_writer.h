// The store on a thread of its own, so that no disk makes the cluster's heart miss a beat.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "cluster/state/store.h"

namespace hearth::cluster {

// Thread-safe. What is pending is bounded by the number of documents: later writes replace earlier
// ones.
class StoreWriter {
 public:
  explicit StoreWriter(std::unique_ptr<Store> store);
  // Writes what is pending.
  ~StoreWriter();

  // Calls `stored` with the outcome once these changes are on disk, or failed to get there.
  void write(Store::Changes changes, std::function<void(const Result<void>&)> stored);

 private:
  void run();

  const std::unique_ptr<Store> store_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::map<std::string, Document> save_;
  std::set<std::string> erase_;
  std::map<DeviceId, std::string> remember_;
  std::set<DeviceId> forget_;
  std::vector<std::function<void(const Result<void>&)>> stored_;
  bool pending_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace hearth::cluster
