// From logits to the next token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace hearth::engine {

// Defaults are neutral: with them a sample is drawn from the model's own distribution.
struct SamplingParams {
  float temperature = 1.0f;  // 0: the most likely token, always (ties: lowest id)
  int top_k = 0;             // 0: off
  float top_p = 1.0f;        // 1: off
  float min_p = 0.0f;        // 0: off; keep tokens with p >= min_p * p_max
  float repetition_penalty =
      1.0f;  // 1: off; divides positive, multiplies negative logits of seen tokens
  float presence_penalty = 0.0f;  // 0: off; subtracted once from tokens generated so far
  float frequency_penalty =
      0.0f;  // 0: off; subtracted per occurrence among tokens generated so far
  uint64_t seed = 0;
};

// Draws one token. Deterministic: the same arguments give the same token on every machine.
//   logits     [vocab], changed in place (penalties)
//   prompt     the sequence's prompt tokens (repetition penalty sees them, the other penalties do
//   not) generated  the tokens generated so far; its size also numbers the draw of the seed's
//   random stream
// Order: repetition, presence, frequency penalties; temperature; top-k; top-p; min-p; draw.
int32_t sample(std::span<float> logits, const SamplingParams& params,
               std::span<const int32_t> prompt, std::span<const int32_t> generated);

// The same where ranks have parts of the vocabulary: each takes candidates of its part, and
// sample_candidates() draws from all of them, in order of their ids, the token that sample() would
// draw from all logits.
struct Candidate {
  int32_t id = 0;
  float logit = 0;
};

// Whether few candidates are enough. Otherwise the draw needs the logits of all `vocab` tokens.
bool has_few_candidates(const SamplingParams& params, int vocab);
// Adds the candidates among tokens [first_id, first_id + logits.size()) to `out`; changes `logits`
// as sample() does. REQUIRES: has_few_candidates, as below.
void add_candidates(std::span<float> logits, int32_t first_id, int vocab,
                    const SamplingParams& params, std::span<const int32_t> prompt,
                    std::span<const int32_t> generated, std::vector<Candidate>* out);
// `generated` tokens came before.
int32_t sample_candidates(std::span<const Candidate> candidates, const SamplingParams& params,
                          int vocab, size_t generated);

}  // namespace hearth::engine
