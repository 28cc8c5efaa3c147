// One rank's part of a step: what Executor and follow have in common.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/rank_model.h"
#include "fabric/collectives.h"
#include "fabric/group.h"
#include "runtime/executor.h"
#include "runtime/step.h"

namespace hearth::runtime {

// What messages between ranks are for.
inline constexpr fabric::Tag kStepTag = 1;    // head to all: an encoded Step
inline constexpr fabric::Tag kHiddenTag = 2;  // to the next stage: float32 [rows, hidden]
inline constexpr fabric::Tag kTokensTag = 3;  // who draws to head: int32 [Step::outputs()]
// Who draws to head: float32 [some rows, vocab] until all came; slices of the last stage to who
// draws: float32 [some rows, part of vocab], the same.
inline constexpr fabric::Tag kLogitsTag = 4;
// Slices of the last stage to who draws: CandidateLists, where few candidates are enough.
inline constexpr fabric::Tag kCandidatesTag = 5;

// Ranks are a grid: rank = stage * slices + slice. The ranks of a stage are a team and end with the
// same hidden states, so that each sends its own to the rank of the next stage that has its place.
// The first rank of the last stage draws. Not thread-safe.
class Stage {
 public:
  // `team`: of the ranks that share a stage; the same on all of them.
  Stage(engine::RankModel& model, fabric::Group& group, const fabric::TeamOptions& team = {});

  // Before the first step: forgets what the model's slots hold, be it from a group that failed, and
  // joins the model with its team. kInvalidArgument when the shard is not
  // the rank's place in the grid: the first stage's ranks come first, the last's last, and slices
  // are numbered alike in all.
  Result<void> join_team();

  // Forgets released slots, receives the hidden states of the previous stage, computes, and hands
  // on: hidden states to the next stage, or, on the rank that draws, the outputs into `result`.
  Result<void> compute(const Step& step, StepResult* result);

  // The outputs on their way to the head from the rank that draws. Tokens come for every step that
  // has rows, if none are drawn as an empty message: the head knows by it how far the pipeline is.
  Result<void> send_result(const Step& step, const StepResult& result);
  Result<void> receive_result(const Step& step, StepResult* result);

  bool draws() const { return group_.rank() == drawer(); }
  int stages() const { return group_.size() / slices(); }
  fabric::Group& group() { return group_; }

  // `error` as this rank's, after failing the group with it (unless the group is what failed).
  Error fail(const Error& error);

 private:
  int slices() const { return model_.shard().slices(); }
  bool first() const { return group_.rank() < slices(); }
  bool last() const { return group_.rank() >= drawer(); }
  int drawer() const { return group_.size() - slices(); }
  // The tokens whose logits slice `slice` computes.
  int vocab_of(int slice) const;

  Result<void> check_shard() const;
  Result<void> check_step(const Step& step) const;
  void remember(const Step& step);
  Result<void> forward(const Step& step, StepResult* result);
  // Puts the slices' parts of logits together, on the rank that draws.
  Result<void> gather(size_t rows, std::vector<float>* logits);
  Result<void> send_logits(int to, int columns, std::span<const float> logits);
  // Fills `logits`, of so many columns.
  Result<void> receive_logits(int from, int columns, std::span<float> logits);
  void draw(const Step& step, std::vector<int32_t>* tokens);
  // Whether the slices send candidates for the step's draws, not logits.
  bool has_candidates(const Step& step) const;
  Result<void> draw_from_candidates(const Step& step, std::vector<int32_t>* tokens);
  std::span<const int32_t> prompt_of(const StepSequence& sequence) const;
  std::span<const int32_t> generated_in(const StepSequence& sequence) const;

  engine::RankModel& model_;
  fabric::Group& group_;
  const fabric::TeamOptions team_options_;
  const StepBounds bounds_;
  std::vector<std::vector<int32_t>> history_;  // the tokens that each slot holds
  std::unique_ptr<fabric::Collectives> team_;  // where there are slices
  std::vector<float> hidden_in_;               // [rows, hidden]
  std::vector<float> hidden_out_;              // [rows, hidden]
  std::vector<float> logits_;                  // [drawn, vocab]
  std::vector<float> part_;                    // [rows, a slice's part of vocab]
};

}  // namespace hearth::runtime
