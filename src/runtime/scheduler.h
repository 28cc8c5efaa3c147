// Which tokens are computed next. Sans I/O and without time: requests in, a step out, drawn tokens
// in, events out.
//
//   while (auto step = scheduler.next()) {
//     for (const TokenEvent& event : scheduler.complete(executor.run(*step)->tokens)) ...
//   }
//
// or, where several steps are in flight, next() as often as there is room and something to do, then
// complete() of the oldest.
//
// Rules:
// - First come, first served: requests run in order of arrival, as many together as slots and KV
// room allow.
// - A step holds one row for every sequence that generates, then chunks of prompts up to
// `step_rows_max` rows,
//   shared equally, so that a long prompt stalls neither answers nor short prompts.
// - Each stage of a pipeline is to have a step to work on. So the sequences that generate are dealt
// out to as many steps as there are stages, equally, and chunks of prompts are short
// (base/prompt_rows.h); those of one prompt follow each other at once, each stage keeping its own
// part of the cache.
// - A request is admitted when there is room for all tokens it has so far. When a growing sequence
// finds no room,
//   the youngest running one gives up its slot and is computed again later, before any that came
//   after it; its draws are the same, for they depend on seed and index. The oldest always goes on,
//   so every request ends.
#pragma once

#include <cstdint>
#include <deque>
#include <list>
#include <optional>
#include <span>
#include <vector>

#include "base/prompt_rows.h"
#include "engine/sampler.h"
#include "runtime/generator.h"
#include "runtime/step.h"

namespace hearth::runtime {

struct SchedulerOptions {
  int sequences_max = 16;    // slots
  int64_t kv_tokens = 4096;  // room over all sequences; counted in whole blocks (kv_plan.h)
  int step_rows_max = kStepRowsDefault;  // at least sequences_max
  int stages = 1;                        // of the pipeline
};

// REQUIRES: prompt is not empty; max_tokens >= 1; prompt + max_tokens - 1 <= kv_tokens in whole
// blocks.
struct SequenceRequest {
  uint64_t id = 0;  // the caller's, unique
  std::vector<int32_t> prompt;
  int max_tokens = 0;
  engine::SamplingParams sampling;
  std::vector<int32_t> end_ids;  // drawing one of these ends the sequence
};

// A sequence's next token. With `finish` it was the last, and the id is forgotten.
struct TokenEvent {
  uint64_t id = 0;
  int32_t token = 0;
  std::optional<FinishReason> finish;
};

// Not thread-safe.
class Scheduler {
 public:
  explicit Scheduler(const SchedulerOptions& options);

  void add(SequenceRequest request);
  // Forgets the request without an event; its slot is free in the next step. An unknown id is fine.
  void cancel(uint64_t id);

  // The next step; nothing when there is nothing to do until a step that is out is completed, or
  // ever. A step without rows only releases slots.
  std::optional<Step> next();
  // The tokens drawn by the oldest step that is out: one per sequence with `sample`, in order.
  // Sequences cancelled meanwhile are passed over. REQUIRES: a step is out.
  std::vector<TokenEvent> complete(std::span<const int32_t> tokens);

  int waiting() const;  // requests without a slot
  int running() const;  // requests with one

 private:
  struct Sequence {
    SequenceRequest request;  // its prompt moved to tokens
    int prompt_tokens = 0;
    std::vector<int32_t> tokens;  // the prompt, then what was drawn
    int slot = -1;                // -1: waiting
    int computed = 0;             // tokens that the slot holds
    int64_t blocks = 0;           // reserved
    bool drawing = false;         // a step that is out draws its next token

    int size() const { return static_cast<int>(tokens.size()); }
    int left() const { return size() - computed; }
  };
  using Sequences = std::list<Sequence>;

  static int64_t blocks_for(int64_t tokens);
  void grow(Sequences::iterator sequence);
  void give_back(Sequence& sequence);
  void reserve_room();
  void admit();
  void append_rows(Step* step, Sequence& sequence, int rows);
  int group_size(int ready, int generating) const;
  void append_group(Step* step);
  void append_prompts(Step* step);

  const SchedulerOptions options_;
  const int64_t blocks_max_;
  int64_t blocks_used_ = 0;
  Sequences sequences_;  // in order of arrival
  std::vector<int> free_slots_;
  std::vector<int32_t> releases_;          // slots that ranks must forget
  std::deque<std::vector<uint64_t>> out_;  // steps that are out, oldest first: who draws, in order
};

}  // namespace hearth::runtime
