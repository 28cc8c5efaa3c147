#include "runtime/executor.h"

#include <utility>

#include "runtime/stage.h"

namespace hearth::runtime {
namespace {

Result<StepResult> run_step(Stage& stage, const Step& step) {
  fabric::Group& group = stage.group();
  if (group.size() > 1) {
    const std::vector<std::byte> descriptor = encode(step);
    for (int rank = 1; rank < group.size(); ++rank) {
      HEARTH_RETURN_IF_ERROR(group.send(rank, kStepTag, descriptor));
    }
  }
  StepResult result;
  HEARTH_RETURN_IF_ERROR(stage.compute(step, &result));
  if (!stage.draws()) HEARTH_RETURN_IF_ERROR(stage.receive_result(step, &result));
  return result;
}

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

Result<std::unique_ptr<Executor>> Executor::create(engine::RankModel& model, fabric::Group& group) {
  auto stage = std::make_unique<Stage>(model, group);
  HEARTH_RETURN_IF_ERROR(stage->join_team());
  return std::unique_ptr<Executor>(new Executor(std::move(stage)));
}

Result<StepResult> Executor::run(const Step& step) {
  if (auto status = stage_->group().status(); !status.ok()) return status.error();
  auto result = run_step(*stage_, step);
  if (!result.ok()) return stage_->fail(result.error());
  return result;
}

Error follow(engine::RankModel& model, fabric::Group& group) {
  Stage stage(model, group);
  Result<void> done = stage.join_team();
  std::vector<std::byte> buffer;
  while (done.ok()) done = follow_step(stage, &buffer);
  return stage.fail(done.error());
}

}  // namespace hearth::runtime
