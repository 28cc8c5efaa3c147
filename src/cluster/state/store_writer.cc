#include "cluster/state/store_writer.h"

#include <utility>

#include "base/log.h"

namespace hearth::cluster {

StoreWriter::StoreWriter(std::unique_ptr<Store> store)
    : store_(std::move(store)), thread_([this] { run(); }) {}

StoreWriter::~StoreWriter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  filled_.notify_one();
  thread_.join();
}

void StoreWriter::write(Store::Changes changes, std::function<void(const Result<void>&)> stored) {
  std::lock_guard lock(mutex_);
  for (Document& document : changes.save) {
    erase_.erase(document.key);
    save_.insert_or_assign(document.key, std::move(document));
  }
  for (std::string& key : changes.erase) {
    save_.erase(key);
    erase_.insert(std::move(key));
  }
  for (KnownAddress& known : changes.remember) {
    forget_.erase(known.id);
    remember_.insert_or_assign(known.id, std::move(known.address));
  }
  for (DeviceId& id : changes.forget) {
    remember_.erase(id);
    forget_.insert(std::move(id));
  }
  stored_.push_back(std::move(stored));
  pending_ = true;
  filled_.notify_one();
}

void StoreWriter::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    filled_.wait(lock, [this] { return pending_ || stopping_; });
    if (!pending_) return;
    pending_ = false;
    Store::Changes changes;
    for (auto& [key, document] : std::exchange(save_, {})) changes.save.push_back(document);
    for (auto& [id, address] : std::exchange(remember_, {}))
      changes.remember.push_back({id, address});
    for (const std::string& key : std::exchange(erase_, {})) changes.erase.push_back(key);
    for (const DeviceId& id : std::exchange(forget_, {})) changes.forget.push_back(id);
    const auto stored = std::exchange(stored_, {});
    lock.unlock();
    const Result<void> outcome = store_->apply(changes);
    if (!outcome)
      log::error("the cluster's state could not be stored: {}", outcome.error().message());
    for (const auto& tell : stored) tell(outcome);
    lock.lock();
  }
}

}  // namespace hearth::cluster
