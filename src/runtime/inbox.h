// What callers leave for an instance's threads, and what they hold of it. Private to instance.cc
// and its parts.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.h"
#include "runtime/answer.h"
#include "runtime/event_sink.h"
#include "runtime/generator.h"
#include "runtime/scheduler.h"

namespace hearth::runtime {

// A request whose prompt is still text.
struct IncomingRequest {
  uint64_t id = 0;
  std::shared_ptr<EventSink> sink;
  GenerateRequest request;
  bool refused = false;  // the queue was full
};

// A request that the scheduler can take.
struct ReadyRequest {
  std::shared_ptr<EventSink> sink;
  SequenceRequest sequence;
  Answer answer;
  int prompt_tokens = 0;
};

// Shared by an instance, its threads and its Generations, the last of which may outlive it.
struct Inbox {
  std::mutex mutex;  // guards everything below
  std::condition_variable prompts_changed;
  std::condition_variable steps_changed;
  std::deque<IncomingRequest> incoming;
  std::deque<ReadyRequest> ready;
  std::vector<uint64_t> cancelled;
  uint64_t next_id = 1;
  int scheduler_waiting = 0;     // requests in the scheduler that have no slot yet
  bool stopping = false;         // the prompt thread
  std::optional<Error> failure;  // the group's, or why it was stopped: no more steps
};

}  // namespace hearth::runtime
