#include "runtime/stage.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/units.h"
#include "engine/sampler.h"

namespace hearth::runtime {
namespace {

StepBounds bounds_of(const engine::RankModel& model) {
  return {.slots = model.sequences_max(),
          .vocab = model.spec().vocab,
          .positions = std::min(model.spec().context, model.kv_tokens())};
}

template <class T>
size_t at(T index) {
  return static_cast<size_t>(index);
}

Error wrong_size(const char* what, size_t got, size_t wanted) {
  return Error(Code::kCorrupt, std::string(what) + " of " + std::to_string(got) + " bytes where " +
                                   std::to_string(wanted) + " were expected");
}

}  // namespace

Stage::Stage(engine::RankModel& model, fabric::Group& group)
    : model_(model),
      group_(group),
      bounds_(bounds_of(model)),
      history_(at(model.sequences_max())) {}

Result<void> Stage::check_shard() const {
  const engine::Shard& shard = model_.shard();
  const bool fits = shard.first() == (group_.rank() == 0) &&
                    shard.last(model_.spec().layers) == last() && shard.layers() > 0;
  if (fits) return {};
  return Error(Code::kInvalidArgument,
               "layers " + std::to_string(shard.layer_begin) + " to " +
                   std::to_string(shard.layer_end) + " of " + std::to_string(model_.spec().layers) +
                   " are no part for rank " + std::to_string(group_.rank()) + " of " +
                   std::to_string(group_.size()));
}

Result<void> Stage::check_step(const Step& step) const {
  HEARTH_RETURN_IF_ERROR(check(step, bounds_));
  for (const StepSequence& sequence : step.sequences) {
    const bool released =
        std::find(step.releases.begin(), step.releases.end(), sequence.slot) != step.releases.end();
    const size_t held = released ? 0 : history_[at(sequence.slot)].size();
    if (at(sequence.position) > held) {
      return Error(Code::kInvalidArgument, "step: position " + std::to_string(sequence.position) +
                                               " of slot " + std::to_string(sequence.slot) +
                                               ", which holds " + std::to_string(held));
    }
  }
  return {};
}

void Stage::remember(const Step& step) {
  const int32_t* token = step.tokens.data();
  for (const StepSequence& sequence : step.sequences) {
    std::vector<int32_t>& history = history_[at(sequence.slot)];
    history.resize(at(sequence.position));
    history.insert(history.end(), token, token + sequence.rows);
    token += sequence.rows;
  }
}

Result<void> Stage::compute(const Step& step, StepResult* result) {
  HEARTH_RETURN_IF_ERROR(check_step(step));
  for (const int32_t slot : step.releases) {
    model_.release(slot);
    history_[at(slot)].clear();
  }
  if (step.rows() == 0) return {};
  remember(step);

  const size_t hidden = at(step.rows()) * at(model_.spec().hidden);
  if (group_.rank() > 0) {
    hidden_in_.resize(hidden);
    const auto buffer = std::as_writable_bytes(std::span(hidden_in_));
    HEARTH_TRY(const size_t size, group_.recv(group_.rank() - 1, kHiddenTag, buffer));
    if (size != buffer.size()) return wrong_size("hidden states", size, buffer.size());
  }
  if (!last()) hidden_out_.resize(hidden);
  HEARTH_RETURN_IF_ERROR(forward(step, result));
  if (last()) {
    if (step.output == StepOutput::kTokens) draw(step, &result->tokens);
    return {};
  }
  return group_.send(group_.rank() + 1, kHiddenTag, std::as_bytes(std::span(hidden_out_)));
}

Result<void> Stage::forward(const Step& step, StepResult* result) {
  std::vector<engine::SequenceRows> sequences;
  std::vector<int32_t> logit_rows;
  int row = 0;
  for (const StepSequence& sequence : step.sequences) {
    sequences.push_back({sequence.slot, sequence.position, sequence.rows});
    for (int i = 0; i < sequence.rows; ++i, ++row) {
      const bool drawn = sequence.sample && i == sequence.rows - 1;
      if (drawn || step.output == StepOutput::kLogits) logit_rows.push_back(row);
    }
  }
  std::vector<float>& logits = step.output == StepOutput::kLogits ? result->logits : logits_;
  if (last()) logits.resize(logit_rows.size() * at(model_.spec().vocab));
  return model_.forward(
      {.sequences = sequences, .tokens = step.tokens, .logit_rows = logit_rows},
      group_.rank() > 0 ? std::span<const float>(hidden_in_) : std::span<const float>(),
      last() ? std::span<float>() : std::span<float>(hidden_out_),
      last() ? std::span<float>(logits) : std::span<float>());
}

void Stage::draw(const Step& step, std::vector<int32_t>* tokens) {
  const size_t vocab = at(model_.spec().vocab);
  float* logits = logits_.data();
  tokens->clear();
  for (const StepSequence& sequence : step.sequences) {
    if (!sequence.sample) continue;
    const std::span<const int32_t> history(history_[at(sequence.slot)]);
    tokens->push_back(engine::sample({logits, vocab}, sequence.sampling,
                                     history.first(at(sequence.prompt_tokens)),
                                     history.subspan(at(sequence.prompt_tokens))));
    logits += vocab;
  }
}

int Stage::logit_rows_per_message() const {
  const int64_t row_bytes = int64_t{model_.spec().vocab} * static_cast<int64_t>(sizeof(float));
  return static_cast<int>(std::max<int64_t>(1, 16_MiB / row_bytes));
}

Result<void> Stage::send_result(const Step& step, const StepResult& result) {
  if (step.output == StepOutput::kTokens) {
    if (result.tokens.empty()) return {};
    return group_.send(0, kTokensTag, std::as_bytes(std::span(result.tokens)));
  }
  const size_t vocab = at(model_.spec().vocab);
  for (int row = 0; row < step.rows(); row += logit_rows_per_message()) {
    const int rows = std::min(logit_rows_per_message(), step.rows() - row);
    const auto some = std::span(result.logits).subspan(at(row) * vocab, at(rows) * vocab);
    HEARTH_RETURN_IF_ERROR(group_.send(0, kLogitsTag, std::as_bytes(some)));
  }
  return {};
}

Result<void> Stage::receive_result(const Step& step, StepResult* result) {
  const int from = group_.size() - 1;
  const auto receive = [&](fabric::Tag tag, std::span<std::byte> into) -> Result<void> {
    HEARTH_TRY(const size_t size, group_.recv(from, tag, into));
    if (size != into.size()) return wrong_size("outputs", size, into.size());
    return {};
  };
  const size_t vocab = at(model_.spec().vocab);
  if (step.output == StepOutput::kLogits) {
    result->logits.resize(at(step.rows()) * vocab);
    for (int row = 0; row < step.rows(); row += logit_rows_per_message()) {
      const int rows = std::min(logit_rows_per_message(), step.rows() - row);
      const auto some = std::span(result->logits).subspan(at(row) * vocab, at(rows) * vocab);
      HEARTH_RETURN_IF_ERROR(receive(kLogitsTag, std::as_writable_bytes(some)));
    }
    return {};
  }
  result->tokens.resize(at(step.outputs()));
  if (result->tokens.empty()) return {};
  HEARTH_RETURN_IF_ERROR(receive(kTokensTag, std::as_writable_bytes(std::span(result->tokens))));
  for (const int32_t token : result->tokens) {
    if (token < 0 || token >= model_.spec().vocab) {
      return Error(Code::kCorrupt, "the last stage drew token " + std::to_string(token) + " of " +
                                       std::to_string(model_.spec().vocab));
    }
  }
  return {};
}

Error Stage::fail(const Error& error) {
  if (auto status = group_.status(); !status.ok()) return status.error();
  const Error named = error.context("rank " + std::to_string(group_.rank()));
  group_.fail(named.message());
  return named;
}

}  // namespace hearth::runtime
