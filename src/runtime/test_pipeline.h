// All ranks of an instance in the process of a test, and what they say to each other.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <future>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "fabric/group.h"
#include "runtime/executor.h"
#include "runtime/stage.h"
#include "runtime/test_model.h"

namespace hearth::runtime {

inline Step logits_step(int slot, int position, std::vector<int32_t> tokens) {
  return {
      .output = StepOutput::kLogits,
      .sequences = {{.slot = slot, .position = position, .rows = static_cast<int>(tokens.size())}},
      .tokens = std::move(tokens)};
}

inline std::vector<int32_t> some_tokens(int count, int vocab) {
  std::vector<int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back((i * 37 + 11) % vocab);
  return tokens;
}

// Keeps back what the last stage answers until the head has sent steps beyond it. Where the head
// waits for an answer before it sends the next step, nothing goes on, and the answer fails.
class Gate {
 public:
  // Answer n, counted from 0, waits until n + `ahead` steps were sent, or all `steps`. Answers
  // before the `first` do not.
  struct Hold {
    int first = 0;
    int ahead = 0;
    int steps = std::numeric_limits<int>::max();
  };
  void hold(const Hold& hold) {
    std::lock_guard lock(mutex_);
    hold_ = hold;
    changed_.notify_all();
  }
  void open() { hold({}); }

  void step_sent() {
    std::lock_guard lock(mutex_);
    ++sent_;
    changed_.notify_all();
  }
  Result<void> pass() {
    std::unique_lock lock(mutex_);
    const int answer = answers_++;
    const auto may = [&] {
      return answer < hold_.first || sent_ >= std::min(answer + hold_.ahead, hold_.steps);
    };
    if (changed_.wait_for(lock, std::chrono::seconds(20), may)) return {};
    return Error(Code::kDeadlineExceeded, "answer " + std::to_string(answer) +
                                              " waits, with no more than " + std::to_string(sent_) +
                                              " steps sent");
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  Hold hold_;
  int sent_ = 0;
  int answers_ = 0;
};

// A group that remembers what its rank sent for what, and sends through a gate.
class WatchedGroup final : public fabric::Group {
 public:
  WatchedGroup(std::unique_ptr<fabric::Group> group, std::shared_ptr<Gate> gate)
      : group_(std::move(group)), gate_(std::move(gate)) {}

  size_t bytes_sent(fabric::Tag tag) const {
    const auto found = bytes_.find(tag);
    return found == bytes_.end() ? 0 : found->second;
  }

  int rank() const override { return group_->rank(); }
  int size() const override { return group_->size(); }
  std::string carrier(int rank) const override { return group_->carrier(rank); }
  std::string_view transport() const override { return group_->transport(); }
  bool shares_memory(int rank) const override { return group_->shares_memory(rank); }
  Result<void> send(int to, fabric::Tag tag, std::span<const std::byte> data) override {
    bytes_[tag] += data.size();
    if (tag == kStepTag && to == 1 && decode_step(data)->rows() > 0) gate_->step_sent();
    if (tag == kTokensTag) HEARTH_RETURN_IF_ERROR(gate_->pass());
    return group_->send(to, tag, data);
  }
  Result<size_t> recv(int from, fabric::Tag tag, std::span<std::byte> data) override {
    return group_->recv(from, tag, data);
  }
  Result<void> recv(int from, fabric::Tag tag, std::vector<std::byte>* data) override {
    return group_->recv(from, tag, data);
  }
  Result<void> broadcast(int root, std::span<std::byte> data) override {
    return group_->broadcast(root, data);
  }
  Result<void> barrier() override { return group_->barrier(); }
  void fail(const std::string& reason) override { group_->fail(reason); }
  Result<void> status() const override { return group_->status(); }

 private:
  const std::unique_ptr<fabric::Group> group_;
  const std::shared_ptr<Gate> gate_;
  std::map<fabric::Tag, size_t> bytes_;
};

// `size` connected groups, over TCP on this machine.
inline std::vector<std::unique_ptr<fabric::Group>> tcp_groups(int size) {
  std::vector<std::unique_ptr<fabric::Rendezvous>> meetings;
  fabric::GroupOptions options{.token = "test", .transport = "tcp"};
  for (int rank = 0; rank < size; ++rank) {
    meetings.push_back(fabric::Rendezvous::listen("127.0.0.1").value());
    options.addresses.push_back("127.0.0.1:" + std::to_string(meetings.back()->port()));
  }
  std::vector<std::future<std::unique_ptr<fabric::Group>>> joins;
  for (auto& meeting : meetings) {
    options.rank = static_cast<int>(joins.size());
    joins.push_back(std::async(std::launch::async, [&meeting, options] {
      return fabric::Group::join(std::move(meeting), options).value();
    }));
  }
  std::vector<std::unique_ptr<fabric::Group>> groups;
  for (auto& join : joins) groups.push_back(join.get());
  return groups;
}

struct Grid {
  int stages = 1;
  std::vector<double> shares;  // of each stage's ranks
  bool tcp = false;            // or in memory

  int ranks() const { return stages * std::max(1, static_cast<int>(shares.size())); }
};

// All ranks of an instance in this process, each following on a thread.
class TestPipeline {
 public:
  TestPipeline(const engine::ModelFiles& files, const Grid& grid, const TestRoom& room = {}) {
    auto groups = grid.tcp ? tcp_groups(grid.ranks()) : fabric::in_memory_groups(grid.ranks());
    for (auto& group : groups) {
      groups_.push_back(std::make_unique<WatchedGroup>(std::move(group), gate_));
    }
    for (int rank = 0; rank < grid.ranks(); ++rank) {
      models_.push_back(load_rank(files, rank, grid.stages, room, grid.shares));
    }
    endings_.resize(groups_.size());
    for (size_t rank = 1; rank < groups_.size(); ++rank) {
      followers_.emplace_back(
          [this, rank] { endings_[rank].emplace(follow(*models_[rank], *groups_[rank])); });
    }
    auto executor = Executor::create(*models_[0], *groups_[0]);
    EXPECT_TRUE(executor.ok());
    executor_ = std::move(executor).value();
  }
  ~TestPipeline() {
    groups_[0]->fail("the test is over");
    gate_->open();
    wait();
  }

  Executor& executor() { return *executor_; }
  Gate& gate() { return *gate_; }
  WatchedGroup& group(int rank) { return *groups_[static_cast<size_t>(rank)]; }
  // Until every follower has ended; how rank `rank` did.
  std::string ending(int rank) {
    wait();
    return endings_[static_cast<size_t>(rank)]->message();
  }

 private:
  void wait() {
    for (std::thread& follower : followers_) {
      if (follower.joinable()) follower.join();
    }
  }

  const std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
  std::vector<std::unique_ptr<WatchedGroup>> groups_;
  std::vector<std::unique_ptr<engine::RankModel>> models_;
  std::vector<std::optional<Error>> endings_;
  std::vector<std::thread> followers_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace hearth::runtime
