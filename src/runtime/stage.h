// One rank's part of a step: what Executor and follow have in common.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/rank_model.h"
#include "fabric/group.h"
#include "runtime/executor.h"
#include "runtime/step.h"

namespace hearth::runtime {

// What messages between ranks are for.
inline constexpr fabric::Tag kStepTag = 1;    // head to all: an encoded Step
inline constexpr fabric::Tag kHiddenTag = 2;  // stage to next stage: float32 [rows, hidden]
inline constexpr fabric::Tag kTokensTag = 3;  // last stage to head: int32 [Step::outputs()]
inline constexpr fabric::Tag kLogitsTag =
    4;  // last stage to head: float32 [some rows, vocab] until all came

// Not thread-safe.
class Stage {
 public:
  Stage(engine::RankModel& model, fabric::Group& group);

  // kInvalidArgument when the shard's layers do not fit the rank: the first stage is rank 0, the
  // last the last.
  Result<void> check_shard() const;

  // Forgets released slots, receives the hidden states of the previous stage, computes, and hands
  // on: hidden states to the next stage, or, on the last, the outputs into `result`.
  Result<void> compute(const Step& step, StepResult* result);

  // The last stage's outputs on their way to the head.
  Result<void> send_result(const Step& step, const StepResult& result);
  Result<void> receive_result(const Step& step, StepResult* result);

  bool last() const { return group_.rank() == group_.size() - 1; }
  fabric::Group& group() { return group_; }

  // `error` as this rank's, after failing the group with it (unless the group is what failed).
  Error fail(const Error& error);

 private:
  Result<void> check_step(const Step& step) const;
  void remember(const Step& step);
  Result<void> forward(const Step& step, StepResult* result);
  void draw(const Step& step, std::vector<int32_t>* tokens);
  int logit_rows_per_message() const;

  engine::RankModel& model_;
  fabric::Group& group_;
  const StepBounds bounds_;
  std::vector<std::vector<int32_t>> history_;  // the tokens that each slot holds
  std::vector<float> hidden_in_;               // [rows, hidden]
  std::vector<float> hidden_out_;              // [rows, hidden]
  std::vector<float> logits_;                  // [drawn, vocab]
};

}  // namespace hearth::runtime
