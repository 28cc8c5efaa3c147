#include "runtime/executor.h"

#include <utility>

#include "runtime/stage.h"

namespace hearth::runtime {
namespace {

Result<void> follow_step(Stage& stage, std::vector<std::byte>* buffer) {
  HEARTH_RETURN_IF_ERROR(stage.group().recv(0, kStepTag, buffer));
  HEARTH_TRY(const Step step, decode_step(*buffer));
  StepResult result;
  HEARTH_RETURN_IF_ERROR(stage.compute(step, &result));
  if (stage.draws()) HEARTH_RETURN_IF_ERROR(stage.send_result(step, result));
  return {};
}

}  // namespace

Executor::Executor(std::unique_ptr<Stage> stage) : stage_(std::move(stage)) {}
Executor::~Executor() = default;

Result<std::unique_ptr<Executor>> Executor::create(engine::RankModel& model, fabric::Group& group,
                                                   const fabric::TeamOptions& team) {
  auto stage = std::make_unique<Stage>(model, group, team);
  HEARTH_RETURN_IF_ERROR(stage->join_team());
  return std::unique_ptr<Executor>(new Executor(std::move(stage)));
}

int Executor::stages() const { return stage_->stages(); }

bool Executor::full() const {
  if (in_flight_.empty()) return false;
  const int most = stages() == 1 ? 1 : stages() + 1;
  return in_flight() == most || in_flight_.back().step.output == StepOutput::kLogits;
}

Result<void> Executor::start(Submitted* submitted) {
  fabric::Group& group = stage_->group();
  HEARTH_RETURN_IF_ERROR(group.status());
  if (group.size() > 1) {
    const std::vector<std::byte> descriptor = encode(submitted->step);
    for (int rank = 1; rank < group.size(); ++rank) {
      HEARTH_RETURN_IF_ERROR(group.send(rank, kStepTag, descriptor));
    }
  }
  return stage_->compute(submitted->step, &submitted->result);
}

Result<void> Executor::submit(Step step) {
  HEARTH_CHECK(!full());
  in_flight_.push_back({.step = std::move(step), .result = {}});
  const auto started = start(&in_flight_.back());
  if (!started.ok()) return fail(started.error());
  return {};
}

Result<StepResult> Executor::collect() {
  HEARTH_CHECK(!in_flight_.empty());
  Submitted oldest = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (stage_->draws()) return std::move(oldest.result);
  const auto received = stage_->receive_result(oldest.step, &oldest.result);
  if (!received.ok()) return fail(received.error());
  return std::move(oldest.result);
}

Result<StepResult> Executor::run(Step step) {
  HEARTH_CHECK(in_flight_.empty());
  HEARTH_RETURN_IF_ERROR(submit(std::move(step)));
  return collect();
}

Error Executor::fail(const Error& error) {
  in_flight_.clear();
  return stage_->fail(error);
}

Error follow(engine::RankModel& model, fabric::Group& group, const fabric::TeamOptions& team) {
  Stage stage(model, group, team);
  Result<void> done = stage.join_team();
  std::vector<std::byte> buffer;
  while (done.ok()) done = follow_step(stage, &buffer);
  return stage.fail(done.error());
}

}  // namespace hearth::runtime
