// Steps on all ranks. The head sends every rank a step's descriptor; hidden states go from stage to
// stage as float32, so that a pipeline computes bit for bit what one device computes; ranks that
// share a stage sum over its slices; the last stage draws the tokens, which go straight to the
// head. Messages between ranks: docs/protocols.md, "Steps".
//
//   while (true) {
//     while (!executor.full()) HEARTH_RETURN_IF_ERROR(executor.submit(next_step()));
//     HEARTH_TRY(StepResult oldest, executor.collect());
//   }
//
// While the head computes its stage of one step, the next stage computes the step before it, and so
// on: a pipeline is busy when as many steps are in flight as it has stages.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/rank_model.h"
#include "fabric/collectives.h"
#include "fabric/group.h"
#include "runtime/step.h"

namespace hearth::runtime {

class Stage;

// What a step gives back: tokens or logits, as Step::output says.
struct StepResult {
  std::vector<int32_t> tokens;  // one per sequence with `sample`, in order
  std::vector<float> logits;    // [rows, vocab]
};

// The head (rank 0). Not thread-safe.
class Executor {
 public:
  // kInvalidArgument when the model's shard does not belong to the group's rank 0. Both must
  // outlive the executor. A model that served a group that failed serves the next one as if new.
  static Result<std::unique_ptr<Executor>> create(engine::RankModel& model, fabric::Group& group,
                                                  const fabric::TeamOptions& team = {});
  ~Executor();

  int stages() const;

  // Steps that were submitted and not collected.
  int in_flight() const { return static_cast<int>(in_flight_.size()); }
  // Whether results must be collected before another step is submitted. One stage takes one step at
  // a time, several take one more than they are, so that none waits while results travel. Logits
  // are collected at once: they are too long to be kept while the head sends.
  bool full() const;

  // Has all ranks compute `step`, after those submitted before; returns when the head's stage has.
  // An error on any rank fails the group: nothing is in flight any more, and every later step fails
  // too. REQUIRES: !full().
  Result<void> submit(Step step);
  // What the oldest step in flight gives back. REQUIRES: in_flight() > 0.
  Result<StepResult> collect();
  // One step alone. REQUIRES: in_flight() == 0.
  Result<StepResult> run(Step step);

 private:
  // A step that was submitted, and its result where the head draws.
  struct Submitted {
    Step step;
    StepResult result;
  };

  explicit Executor(std::unique_ptr<Stage> stage);
  Result<void> start(Submitted* submitted);
  Error fail(const Error& error);

  std::unique_ptr<Stage> stage_;
  std::deque<Submitted> in_flight_;  // the oldest first
};

// Any other rank: computes the head's steps until the group fails, and returns why it did. An error
// of this rank fails the group, naming the rank. The model then can follow in another group.
Error follow(engine::RankModel& model, fabric::Group& group, const fabric::TeamOptions& team = {});

}  // namespace hearth::runtime
