// Everything here is plain IEEE arithmetic in a fixed order (and compiled without contraction), so
// that every machine draws the same token; the mathematical library's exp() would differ.
#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/sampling/random.h"

namespace hearth::engine {
namespace {

constexpr float kImpossible = -INFINITY;

// e^x for x <= 0, within 2e-7 of the true value; 0 where that is below the normal numbers.
float exp_of_negative(float x) {
  const float clamped = x < -87.0f ? -87.0f : x;
  // Adding and taking away 1.5 * 2^23 rounds to the nearest integer.
  constexpr float kRound = 12582912.0f;
  const float n = (clamped * 1.44269504f + kRound) - kRound;
  const float r = (clamped - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const uint32_t bits = static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -87.0f ? 0.0f : p * power;
}

// Tokens seen, each once however often it occurred; of a part of the vocabulary.
class Seen {
 public:
  Seen(int32_t first_id, size_t count)
      : bits_((count + 63) / 64), first_id_(first_id), count_(count) {}
  // The token's place in the part; -1 for those outside.
  int64_t place(int32_t id) const {
    const int64_t place = int64_t{id} - first_id_;
    return place >= 0 && place < static_cast<int64_t>(count_) ? place : -1;
  }
  // True the first time; false for ids outside.
  bool add(int32_t id) {
    const int64_t at = place(id);
    if (at < 0) return false;
    uint64_t& word = bits_[at / 64];
    const uint64_t bit = uint64_t{1} << (at % 64);
    const bool first = (word & bit) == 0;
    word |= bit;
    return first;
  }

 private:
  std::vector<uint64_t> bits_;
  int64_t first_id_;
  size_t count_;
};

void apply_penalties(std::span<float> logits, int32_t first_id, const SamplingParams& params,
                     std::span<const int32_t> prompt, std::span<const int32_t> generated) {
  const auto logit_of = [&](int32_t id) -> float& { return logits[id - first_id]; };
  if (params.repetition_penalty != 1.0f && params.repetition_penalty > 0) {
    Seen seen(first_id, logits.size());
    for (const std::span<const int32_t> tokens : {prompt, generated}) {
      for (const int32_t id : tokens) {
        if (!seen.add(id)) continue;
        float& logit = logit_of(id);
        logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
      }
    }
  }
  if (params.presence_penalty != 0.0f) {
    Seen seen(first_id, logits.size());
    for (const int32_t id : generated) {
      if (seen.add(id)) logit_of(id) -= params.presence_penalty;
    }
  }
  if (params.frequency_penalty != 0.0f) {
    const Seen part(first_id, logits.size());
    for (const int32_t id : generated) {
      if (part.place(id) >= 0) logit_of(id) -= params.frequency_penalty;
    }
  }
}

// A broken model must not break the arithmetic below: NaN never wins, infinity is a large number.
// Two comparisons that are always made, so that the compiler makes those of some logits at once.
void make_ordered(std::span<float> logits) {
  for (float& logit : logits) {
    const float finite = logit > FLT_MAX ? FLT_MAX : logit;
    logit = finite >= -FLT_MAX ? finite : kImpossible;
  }
}

// Logits to draw from, by ascending id: those of all tokens,
struct AllTokens {
  std::span<const float> logits;
  int32_t first_id = 0;
  size_t size() const { return logits.size(); }
  float logit(size_t i) const { return logits[i]; }
  int32_t id(size_t i) const { return first_id + static_cast<int32_t>(i); }
};
// or those of some.
struct SomeTokens {
  std::span<const Candidate> tokens;
  size_t size() const { return tokens.size(); }
  float logit(size_t i) const { return tokens[i].logit; }
  int32_t id(size_t i) const { return tokens[i].id; }
};

// The first of the most likely.
size_t most_likely(const SomeTokens& tokens) {
  size_t best = 0;
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (tokens.logit(i) > tokens.logit(best)) best = i;
  }
  return best;
}

// Some comparisons at once, none of which waits for the one before.
size_t most_likely(const AllTokens& tokens) {
  constexpr size_t kLanes = 32;
  const float* logits = tokens.logits.data();
  const size_t whole = tokens.size() / kLanes * kLanes;
  float largest[kLanes];
  std::fill_n(largest, kLanes, kImpossible);
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      const float logit = logits[i + lane];
      largest[lane] = logit > largest[lane] ? logit : largest[lane];
    }
  }
  float best = *std::max_element(largest, largest + kLanes);
  for (size_t i = whole; i < tokens.size(); ++i) best = std::max(best, logits[i]);
  return static_cast<size_t>(std::find(logits, logits + tokens.size(), best) - logits);
}

struct Weighted {
  float logit = 0;
  int32_t id = 0;
  float weight = 0;  // exp((logit - largest) / temperature)
};

// Most likely first, ties by id: a total order.
bool comes_first(const Weighted& a, const Weighted& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// What turns logits into weights.
struct Softmax {
  float largest;
  float temperature;
  float exponent(float logit) const { return (logit - largest) / temperature; }
  float weight(float logit) const { return exp_of_negative(exponent(logit)); }
};

// The k most likely tokens, in order.
template <class Tokens>
std::vector<Weighted> take_top_k(const Tokens& tokens, int k, const Softmax& softmax) {
  std::vector<Weighted> heap;  // its front is the least likely
  heap.reserve(k + 1);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (static_cast<int>(heap.size()) == k && tokens.logit(i) <= heap.front().logit) continue;
    heap.push_back({tokens.logit(i), tokens.id(i)});
    std::push_heap(heap.begin(), heap.end(), comes_first);
    if (static_cast<int>(heap.size()) > k) {
      std::pop_heap(heap.begin(), heap.end(), comes_first);
      heap.pop_back();
    }
  }
  std::sort_heap(heap.begin(), heap.end(), comes_first);
  for (Weighted& candidate : heap) candidate.weight = softmax.weight(candidate.logit);
  return heap;
}

double total_weight(std::span<const Weighted> candidates) {
  double total = 0;
  for (const Weighted& candidate : candidates) total += candidate.weight;
  return total;
}

// Cuts sorted candidates after the one with which their weight reaches `wanted`.
void cut_at_weight(std::vector<Weighted>& candidates, double wanted) {
  double sum = 0;
  for (size_t i = 0; i < candidates.size(); ++i) {
    sum += candidates[i].weight;
    if (sum >= wanted) {
      candidates.resize(i + 1);
      return;
    }
  }
}

// The smallest set of most likely tokens whose probability reaches top_p, in order. Tokens are
// first put into bins of their logit, so that only the tokens of the leading bins are sorted.
template <class Tokens>
std::vector<Weighted> take_top_p(const Tokens& tokens, float top_p, const Softmax& softmax) {
  constexpr int kBins = 256;
  const auto bin_of = [&](float logit) {
    return static_cast<int>(std::min(softmax.exponent(logit) * -8.0f, kBins - 1.0f));
  };
  std::array<double, kBins> bins{};
  for (size_t i = 0; i < tokens.size(); ++i) {
    bins[bin_of(tokens.logit(i))] += softmax.weight(tokens.logit(i));
  }
  double total = 0;
  for (const double bin : bins) total += bin;
  const double wanted = total * top_p;
  int last = 0;
  for (double sum = bins[0]; sum < wanted && last + 1 < kBins; sum += bins[last]) ++last;

  std::vector<Weighted> candidates;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const float logit = tokens.logit(i);
    if (bin_of(logit) > last) continue;
    candidates.push_back({logit, tokens.id(i), softmax.weight(logit)});
  }
  std::sort(candidates.begin(), candidates.end(), comes_first);
  cut_at_weight(candidates, wanted);
  return candidates;
}

// Every token, by id.
template <class Tokens>
std::vector<Weighted> take_all(const Tokens& tokens, const Softmax& softmax) {
  std::vector<Weighted> candidates(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    candidates[i] = {tokens.logit(i), tokens.id(i), softmax.weight(tokens.logit(i))};
  }
  return candidates;
}

int32_t draw(std::span<const Weighted> candidates, double uniform) {
  const double target = uniform * total_weight(candidates);
  double sum = 0;
  int32_t id = 0;
  for (const Weighted& candidate : candidates) {
    if (candidate.weight == 0) continue;
    id = candidate.id;
    sum += candidate.weight;
    if (sum > target) break;
  }
  return id;
}

bool limits(int top_k, int64_t vocab) { return top_k > 0 && top_k < vocab; }

// Draws from logits that make_ordered() has seen.
template <class Tokens>
int32_t pick(const Tokens& tokens, const SamplingParams& params, bool limited, size_t number) {
  const size_t best = most_likely(tokens);
  const float largest = tokens.logit(best);
  if (!(params.temperature > 0) || largest == kImpossible) return tokens.id(best);

  const Softmax softmax{largest, params.temperature};
  std::vector<Weighted> candidates;
  if (limited) {
    candidates = take_top_k(tokens, params.top_k, softmax);
    if (params.top_p < 1) cut_at_weight(candidates, total_weight(candidates) * params.top_p);
  } else if (params.top_p < 1) {
    candidates = take_top_p(tokens, params.top_p, softmax);
  } else {
    candidates = take_all(tokens, softmax);
  }
  // The most likely token has weight 1.
  std::erase_if(candidates, [&](const Weighted& c) { return c.weight < params.min_p; });
  if (candidates.empty()) return tokens.id(best);
  return draw(candidates, uniform_at(params.seed, number));
}

}  // namespace

int32_t sample(std::span<float> logits, const SamplingParams& params,
               std::span<const int32_t> prompt, std::span<const int32_t> generated) {
  if (logits.empty()) return 0;
  apply_penalties(logits, 0, params, prompt, generated);
  make_ordered(logits);
  return pick(AllTokens{logits}, params, limits(params.top_k, static_cast<int64_t>(logits.size())),
              generated.size());
}

bool has_few_candidates(const SamplingParams& params, int vocab) {
  constexpr int kFew = 1024;
  if (!(params.temperature > 0)) return true;
  if (limits(params.top_k, vocab)) return params.top_k <= kFew;
  return params.top_p >= 1 && params.min_p > 0;
}

void add_candidates(std::span<float> logits, int32_t first_id, int vocab,
                    const SamplingParams& params, std::span<const int32_t> prompt,
                    std::span<const int32_t> generated, std::vector<Candidate>* out) {
  if (logits.empty()) return;
  apply_penalties(logits, first_id, params, prompt, generated);
  make_ordered(logits);
  const AllTokens tokens{logits, first_id};
  const size_t best = most_likely(tokens);
  if (!(params.temperature > 0) || tokens.logit(best) == kImpossible) {
    out->push_back({tokens.id(best), tokens.logit(best)});
    return;
  }
  // What is unlikely beside the part's best is no likelier beside the best of all. Roundings
  // differ.
  constexpr float kLess = 0.999f;
  const Softmax softmax{tokens.logit(best), params.temperature};
  const size_t before = out->size();
  if (limits(params.top_k, vocab)) {
    for (const Weighted& c : take_top_k(tokens, params.top_k, softmax)) {
      out->push_back({c.id, c.logit});
    }
  } else {
    for (size_t i = 0; i < tokens.size(); ++i) {
      if (softmax.weight(tokens.logit(i)) < kLess * params.min_p) continue;
      out->push_back({tokens.id(i), tokens.logit(i)});
    }
  }
  std::sort(out->begin() + before, out->end(),
            [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
}

int32_t sample_candidates(std::span<const Candidate> candidates, const SamplingParams& params,
                          int vocab, size_t generated) {
  if (candidates.empty()) return 0;
  return pick(SomeTokens{candidates}, params, limits(params.top_k, vocab), generated);
}

}  // namespace hearth::engine
