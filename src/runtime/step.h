// The step descriptor: what the head tells every rank to compute. Ranks build their own masks and
// tables from it. Layout on the wire: docs/protocols.md, "Step".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/rank_model.h"
#include "engine/sampler.h"

namespace hearth::runtime {

// Some consecutive tokens of one sequence.
struct StepSequence {
  int slot = 0;
  int position = 0;  // of its first token
  int rows = 0;      // tokens, >= 1
  // Draw the token that follows the last row.
  bool sample = false;
  // Read when `sample`: how many of the slot's tokens are prompt; the rest was generated, and its
  // number is the index of the draw, so that a draw depends on seed and index alone.
  int prompt_tokens = 0;
  engine::SamplingParams sampling;
};

enum class StepOutput : unsigned char {
  kTokens,  // one drawn token per sequence with `sample`
  kLogits,  // the logits of every row; nothing is drawn
};

struct Step {
  StepOutput output = StepOutput::kTokens;
  std::vector<int32_t> releases;        // slots to forget, before anything is computed
  std::vector<StepSequence> sequences;  // at most one per slot
  std::vector<int32_t> tokens;          // of all sequences, in order: [rows]

  int rows() const { return static_cast<int>(tokens.size()); }
  // Tokens or rows of logits that the step gives back.
  int outputs() const;
};

std::vector<std::byte> encode(const Step& step);

// kCorrupt names the field that is out of bounds. What it accepts has consistent row counts,
// distinct slots and finite sampling parameters; whether slots, positions and tokens exist in a
// model is check()'s question.
Result<Step> decode_step(std::span<const std::byte> bytes);

// What a model has room for.
struct StepBounds {
  int slots = 0;
  int vocab = 0;
  int positions = 0;  // longest sequence
};

// kInvalidArgument when the step names a slot, token or position that the model does not have.
Result<void> check(const Step& step, const StepBounds& bounds);

// kInvalidArgument names the parameter: finite numbers, temperature >= 0, 0 <= top_k, 0 < top_p <=
// 1, 0 <= min_p <= 1, repetition_penalty > 0.
Result<void> check(const engine::SamplingParams& params);

}  // namespace hearth::runtime
