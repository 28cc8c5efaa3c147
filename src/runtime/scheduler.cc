#include "runtime/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/result.h"
#include "runtime/kv_plan.h"

namespace hearth::runtime {
namespace {

int divide_up(int value, int by) { return (value + by - 1) / by; }

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options)
    : options_(options), blocks_max_(options.kv_tokens / kKvBlockTokens) {
  HEARTH_CHECK(options.sequences_max >= 1 && options.step_rows_max >= options.sequences_max);
  HEARTH_CHECK(options.stages >= 1);
  for (int slot = options.sequences_max - 1; slot >= 0; --slot) free_slots_.push_back(slot);
}

int64_t Scheduler::blocks_for(int64_t tokens) {
  return (tokens + kKvBlockTokens - 1) / kKvBlockTokens;
}

void Scheduler::add(SequenceRequest request) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  HEARTH_CHECK(prompt >= 1 && request.max_tokens >= 1);
  HEARTH_CHECK(blocks_for(prompt + request.max_tokens - 1) <= blocks_max_);
  Sequence sequence;
  sequence.prompt_tokens = static_cast<int>(prompt);
  sequence.tokens = std::move(request.prompt);
  sequence.request = std::move(request);
  sequences_.push_back(std::move(sequence));
}

void Scheduler::cancel(uint64_t id) {
  const auto found = std::find_if(sequences_.begin(), sequences_.end(),
                                  [id](const Sequence& s) { return s.request.id == id; });
  if (found == sequences_.end()) return;
  give_back(*found);
  sequences_.erase(found);
}

void Scheduler::give_back(Sequence& sequence) {
  if (sequence.slot < 0) return;
  releases_.push_back(sequence.slot);
  free_slots_.push_back(sequence.slot);
  blocks_used_ -= sequence.blocks;
  sequence.slot = -1;
  sequence.blocks = 0;
  sequence.computed = 0;
}

// Reserves room for all tokens of a running sequence, or makes it give up what it has.
void Scheduler::grow(Sequences::iterator sequence) {
  const int64_t wanted = blocks_for(sequence->size());
  auto youngest = sequences_.end();
  while (blocks_used_ + wanted - sequence->blocks > blocks_max_) {
    do {
      --youngest;
    } while (youngest->slot < 0);
    give_back(*youngest);
    if (youngest == sequence) return;
  }
  blocks_used_ += wanted - sequence->blocks;
  sequence->blocks = wanted;
}

void Scheduler::reserve_room() {
  for (auto it = sequences_.begin(); it != sequences_.end(); ++it) {
    if (it->slot >= 0) grow(it);
  }
}

void Scheduler::admit() {
  for (Sequence& sequence : sequences_) {
    if (sequence.slot >= 0) continue;
    if (sequence.drawing) return;  // gave way after the step that is to tell its next token
    const int64_t wanted = blocks_for(sequence.size());
    if (free_slots_.empty() || blocks_used_ + wanted > blocks_max_) return;
    sequence.slot = free_slots_.back();
    free_slots_.pop_back();
    sequence.blocks = wanted;
    blocks_used_ += wanted;
  }
}

void Scheduler::append_rows(Step* step, Sequence& sequence, int rows) {
  const auto first = sequence.tokens.begin() + sequence.computed;
  const bool draws = sequence.computed + rows == sequence.size();
  step->sequences.push_back({.slot = sequence.slot,
                             .position = sequence.computed,
                             .rows = rows,
                             .sample = draws,
                             .prompt_tokens = draws ? sequence.prompt_tokens : 0,
                             .sampling = sequence.request.sampling});
  step->tokens.insert(step->tokens.end(), first, first + rows);
  sequence.computed += rows;
  if (!draws) return;
  sequence.drawing = true;
  out_.back().push_back(sequence.request.id);
}

// How many of the sequences that are ready to generate go into one step: as many as make all groups
// alike, counting the steps that are out.
int Scheduler::group_size(int ready, int generating) const {
  const auto drawing = std::count_if(out_.begin(), out_.end(),
                                     [](const std::vector<uint64_t>& ids) { return !ids.empty(); });
  const int groups_left = options_.stages - static_cast<int>(drawing);
  if (groups_left <= 0) return 0;
  return std::min(divide_up(ready, groups_left), divide_up(generating, options_.stages));
}

void Scheduler::append_group(Step* step) {
  std::vector<Sequence*> ready;
  int generating = 0;
  for (Sequence& sequence : sequences_) {
    if (sequence.slot < 0 || sequence.left() > 1) continue;
    ++generating;
    if (!sequence.drawing) ready.push_back(&sequence);
  }
  ready.resize(static_cast<size_t>(group_size(static_cast<int>(ready.size()), generating)));
  for (Sequence* sequence : ready) append_rows(step, *sequence, 1);
}

void Scheduler::append_prompts(Step* step) {
  std::vector<Sequence*> prompts;
  int64_t all_left = 0;
  for (Sequence& sequence : sequences_) {
    if (sequence.slot < 0 || sequence.left() <= 1) continue;
    prompts.push_back(&sequence);
    all_left += sequence.left();
  }
  // Shortest first, everyone's share is what is left divided by those left: short prompts take
  // less, long ones get the rest, and the budget is used up.
  std::stable_sort(prompts.begin(), prompts.end(),
                   [](const Sequence* a, const Sequence* b) { return a->left() < b->left(); });
  int budget = prompt_rows(all_left, options_.stages, options_.step_rows_max - step->rows());
  for (size_t i = 0; i < prompts.size() && budget > 0; ++i) {
    const int share = divide_up(budget, static_cast<int>(prompts.size() - i));
    const int rows = std::min(share, prompts[i]->left());
    append_rows(step, *prompts[i], rows);
    budget -= rows;
  }
}

std::optional<Step> Scheduler::next() {
  reserve_room();
  admit();
  Step step;
  step.releases = std::exchange(releases_, {});
  out_.emplace_back();
  append_group(&step);
  append_prompts(&step);
  if (step.rows() > 0 || !step.releases.empty()) return step;
  out_.pop_back();
  return std::nullopt;
}

std::vector<TokenEvent> Scheduler::complete(std::span<const int32_t> tokens) {
  HEARTH_CHECK(!out_.empty());
  const std::vector<uint64_t> drawing = std::move(out_.front());
  out_.pop_front();
  HEARTH_CHECK(drawing.size() == tokens.size());
  std::vector<TokenEvent> events;
  for (size_t i = 0; i < drawing.size(); ++i) {
    const auto found = std::find_if(sequences_.begin(), sequences_.end(),
                                    [&](const Sequence& s) { return s.request.id == drawing[i]; });
    if (found == sequences_.end()) continue;
    const SequenceRequest& request = found->request;
    TokenEvent event{.id = request.id, .token = tokens[i]};
    found->tokens.push_back(tokens[i]);
    found->drawing = false;
    const int generated = found->size() - found->prompt_tokens;
    if (std::find(request.end_ids.begin(), request.end_ids.end(), tokens[i]) !=
        request.end_ids.end()) {
      event.finish = FinishReason::kStop;
    } else if (generated >= request.max_tokens) {
      event.finish = FinishReason::kLength;
    }
    events.push_back(event);
    if (!event.finish) continue;
    give_back(*found);
    sequences_.erase(found);
  }
  return events;
}

int Scheduler::running() const {
  return static_cast<int>(std::count_if(sequences_.begin(), sequences_.end(),
                                        [](const Sequence& s) { return s.slot >= 0; }));
}

int Scheduler::waiting() const { return static_cast<int>(sequences_.size()) - running(); }

}  // namespace hearth::runtime
