// One step on all ranks. The head sends every rank the step's descriptor; hidden states go from
// stage to stage as float32, so that a pipeline computes bit for bit what one device computes;
// ranks that share a stage sum over its slices; the last stage draws the tokens, which go straight
// to the head. Messages between ranks: docs/protocols.md, "Between ranks".
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/rank_model.h"
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
  static Result<std::unique_ptr<Executor>> create(engine::RankModel& model, fabric::Group& group);
  ~Executor();

  // Computes `step` everywhere. An error on any rank fails the group: every later call returns an
  // error too.
  Result<StepResult> run(const Step& step);

 private:
  explicit Executor(std::unique_ptr<Stage> stage);

  std::unique_ptr<Stage> stage_;
};

// Any other rank: computes the head's steps until the group fails, and returns why it did. An error
// of this rank fails the group, naming the rank. The model then can follow in another group.
Error follow(engine::RankModel& model, fabric::Group& group);

}  // namespace hearth::runtime
