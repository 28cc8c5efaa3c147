#include "runtime/stage.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "base/units.h"
#include "engine/sampler.h"
#include "runtime/candidates.h"

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

Result<void> receive(fabric::Group& group, int from, fabric::Tag tag, std::span<std::byte> into) {
  HEARTH_TRY(const size_t size, group.recv(from, tag, into));
  if (size != into.size()) return wrong_size("outputs", size, into.size());
  return {};
}

// Whole rows of logits that go into one message.
size_t numbers_per_message(int columns) {
  const int64_t row_bytes = int64_t{columns} * static_cast<int64_t>(sizeof(float));
  return at(std::max<int64_t>(1, 16_MiB / row_bytes)) * at(columns);
}

}  // namespace

Stage::Stage(engine::RankModel& model, fabric::Group& group, const fabric::TeamOptions& team)
    : model_(model),
      group_(group),
      team_options_(team),
      bounds_(bounds_of(model)),
      history_(at(model.sequences_max())) {}

Result<void> Stage::check_shard() const {
  const engine::Shard& shard = model_.shard();
  const bool fits = group_.size() % slices() == 0 && shard.slice == group_.rank() % slices() &&
                    shard.first() == first() && shard.last(model_.spec().layers) == last() &&
                    shard.layers() > 0;
  if (fits) return {};
  return Error(Code::kInvalidArgument,
               "slice " + std::to_string(shard.slice) + " of " + std::to_string(slices()) +
                   " of layers " + std::to_string(shard.layer_begin) + " to " +
                   std::to_string(shard.layer_end) + " of " + std::to_string(model_.spec().layers) +
                   " is no part for rank " + std::to_string(group_.rank()) + " of " +
                   std::to_string(group_.size()));
}

Result<void> Stage::join_team() {
  HEARTH_RETURN_IF_ERROR(check_shard());
  for (int slot = 0; slot < model_.sequences_max(); ++slot) model_.release(slot);
  if (slices() == 1) return {};
  std::vector<int> ranks(at(slices()));
  std::iota(ranks.begin(), ranks.end(), group_.rank() - model_.shard().slice);
  HEARTH_TRY(team_, fabric::Collectives::create(group_, std::move(ranks), team_options_));
  return model_.join(*team_);
}

int Stage::vocab_of(int slice) const {
  const std::span<const int> cuts = model_.vocab_cuts();
  return cuts[at(slice) + 1] - cuts[at(slice)];
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
  if (!first()) {
    hidden_in_.resize(hidden);
    const auto buffer = std::as_writable_bytes(std::span(hidden_in_));
    HEARTH_TRY(const size_t size, group_.recv(group_.rank() - slices(), kHiddenTag, buffer));
    if (size != buffer.size()) return wrong_size("hidden states", size, buffer.size());
  }
  if (!last()) hidden_out_.resize(hidden);
  HEARTH_RETURN_IF_ERROR(forward(step, result));
  if (!last()) {
    const auto hidden_out = std::as_bytes(std::span(hidden_out_));
    return group_.send(group_.rank() + slices(), kHiddenTag, hidden_out);
  }
  if (has_candidates(step)) return draw_from_candidates(step, &result->tokens);
  if (draws() && step.output == StepOutput::kTokens) draw(step, &result->tokens);
  return {};
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
  std::vector<float>& all = step.output == StepOutput::kLogits ? result->logits : logits_;
  std::vector<float>& logits = slices() == 1 ? all : part_;
  if (last()) logits.resize(logit_rows.size() * at(vocab_of(model_.shard().slice)));
  HEARTH_RETURN_IF_ERROR(
      model_.forward({.sequences = sequences, .tokens = step.tokens, .logit_rows = logit_rows},
                     first() ? std::span<const float>() : std::span<const float>(hidden_in_),
                     last() ? std::span<float>() : std::span<float>(hidden_out_),
                     last() ? std::span<float>(logits) : std::span<float>()));
  if (!last() || slices() == 1 || has_candidates(step)) return {};
  return gather(logit_rows.size(), &all);
}

// The rank that draws has the first slice, which part_ holds.
Result<void> Stage::gather(size_t rows, std::vector<float>* logits) {
  if (!draws()) return send_logits(drawer(), vocab_of(model_.shard().slice), part_);
  const size_t vocab = at(model_.spec().vocab);
  logits->resize(rows * vocab);
  for (int slice = 0; slice < slices(); ++slice) {
    const size_t columns = at(vocab_of(slice));
    part_.resize(rows * columns);
    if (slice > 0) {
      HEARTH_RETURN_IF_ERROR(receive_logits(drawer() + slice, vocab_of(slice), part_));
    }
    float* to = logits->data() + model_.vocab_cuts()[at(slice)];
    for (size_t row = 0; row < rows; ++row) {
      std::copy_n(part_.data() + row * columns, columns, to + row * vocab);
    }
  }
  return {};
}

void Stage::draw(const Step& step, std::vector<int32_t>* tokens) {
  const size_t vocab = at(model_.spec().vocab);
  float* logits = logits_.data();
  tokens->clear();
  for (const StepSequence& sequence : step.sequences) {
    if (!sequence.sample) continue;
    tokens->push_back(engine::sample({logits, vocab}, sequence.sampling, prompt_of(sequence),
                                     generated_in(sequence)));
    logits += vocab;
  }
}

std::span<const int32_t> Stage::prompt_of(const StepSequence& sequence) const {
  return std::span(history_[at(sequence.slot)]).first(at(sequence.prompt_tokens));
}

std::span<const int32_t> Stage::generated_in(const StepSequence& sequence) const {
  return std::span(history_[at(sequence.slot)]).subspan(at(sequence.prompt_tokens));
}

bool Stage::has_candidates(const Step& step) const {
  if (slices() == 1 || step.output != StepOutput::kTokens || step.outputs() == 0) return false;
  return std::all_of(step.sequences.begin(), step.sequences.end(), [&](const StepSequence& s) {
    return !s.sample || engine::has_few_candidates(s.sampling, model_.spec().vocab);
  });
}

Result<void> Stage::draw_from_candidates(const Step& step, std::vector<int32_t>* tokens) {
  const std::span<const int> cuts = model_.vocab_cuts();
  const int own = model_.shard().slice;
  const int vocab = model_.spec().vocab;
  const size_t columns = at(vocab_of(own));
  std::span<float> logits(part_);
  CandidateLists lists;
  for (const StepSequence& sequence : step.sequences) {
    if (!sequence.sample) continue;
    engine::add_candidates(logits.first(columns), cuts[at(own)], vocab, sequence.sampling,
                           prompt_of(sequence), generated_in(sequence), &lists.emplace_back());
    logits = logits.subspan(columns);
  }
  if (!draws()) return group_.send(drawer(), kCandidatesTag, encode(lists));
  std::vector<std::byte> message;
  for (int slice = 1; slice < slices(); ++slice) {
    HEARTH_RETURN_IF_ERROR(group_.recv(drawer() + slice, kCandidatesTag, &message));
    HEARTH_RETURN_IF_ERROR(
        append_candidates(message, cuts[at(slice)], cuts[at(slice) + 1], &lists));
  }
  tokens->clear();
  auto list = lists.begin();
  for (const StepSequence& sequence : step.sequences) {
    if (!sequence.sample) continue;
    tokens->push_back(engine::sample_candidates(*list++, sequence.sampling, vocab,
                                                generated_in(sequence).size()));
  }
  return {};
}

Result<void> Stage::send_logits(int to, int columns, std::span<const float> logits) {
  while (!logits.empty()) {
    const size_t some = std::min(logits.size(), numbers_per_message(columns));
    HEARTH_RETURN_IF_ERROR(group_.send(to, kLogitsTag, std::as_bytes(logits.first(some))));
    logits = logits.subspan(some);
  }
  return {};
}

Result<void> Stage::receive_logits(int from, int columns, std::span<float> logits) {
  while (!logits.empty()) {
    const size_t some = std::min(logits.size(), numbers_per_message(columns));
    HEARTH_RETURN_IF_ERROR(
        receive(group_, from, kLogitsTag, std::as_writable_bytes(logits.first(some))));
    logits = logits.subspan(some);
  }
  return {};
}

Result<void> Stage::send_result(const Step& step, const StepResult& result) {
  if (step.rows() == 0) return {};
  if (step.output == StepOutput::kTokens) {
    return group_.send(0, kTokensTag, std::as_bytes(std::span(result.tokens)));
  }
  return send_logits(0, model_.spec().vocab, result.logits);
}

Result<void> Stage::receive_result(const Step& step, StepResult* result) {
  if (step.rows() == 0) return {};
  if (step.output == StepOutput::kLogits) {
    result->logits.resize(at(step.rows()) * at(model_.spec().vocab));
    return receive_logits(drawer(), model_.spec().vocab, result->logits);
  }
  result->tokens.resize(at(step.outputs()));
  HEARTH_RETURN_IF_ERROR(
      receive(group_, drawer(), kTokensTag, std::as_writable_bytes(std::span(result->tokens))));
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
