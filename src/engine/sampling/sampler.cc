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

// Tokens seen, each once however often it occurred.
class Seen {
 public:
  explicit Seen(size_t vocab) : bits_((vocab + 63) / 64), vocab_(vocab) {}
  // True the first time; false for ids outside the vocabulary.
  bool add(int32_t id) {
    if (id < 0 || static_cast<size_t>(id) >= vocab_) return false;
    uint64_t& word = bits_[id / 64];
    const uint64_t bit = uint64_t{1} << (id % 64);
    const bool first = (word & bit) == 0;
    word |= bit;
    return first;
  }

 private:
  std::vector<uint64_t> bits_;
  size_t vocab_;
};

void apply_penalties(std::span<float> logits, const SamplingParams& params,
                     std::span<const int32_t> prompt, std::span<const int32_t> generated) {
  if (params.repetition_penalty != 1.0f && params.repetition_penalty > 0) {
    Seen seen(logits.size());
    for (const std::span<const int32_t> tokens : {prompt, generated}) {
      for (const int32_t id : tokens) {
        if (!seen.add(id)) continue;
        float& logit = logits[id];
        logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
      }
    }
  }
  if (params.presence_penalty != 0.0f) {
    Seen seen(logits.size());
    for (const int32_t id : generated) {
      if (seen.add(id)) logits[id] -= params.presence_penalty;
    }
  }
  if (params.frequency_penalty != 0.0f) {
    for (const int32_t id : generated) {
      if (id >= 0 && static_cast<size_t>(id) < logits.size()) {
        logits[id] -= params.frequency_penalty;
      }
    }
  }
}

// A broken model must not break the arithmetic below: NaN never wins, infinity is a large number.
void make_ordered(std::span<float> logits) {
  for (float& logit : logits) {
    logit = logit > FLT_MAX ? FLT_MAX : logit >= -FLT_MAX ? logit : kImpossible;
  }
}

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

struct Candidate {
  float logit = 0;
  int32_t id = 0;
  float weight = 0;  // exp((logit - largest) / temperature)
};

// Most likely first, ties by id: a total order.
bool comes_first(const Candidate& a, const Candidate& b) {
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
std::vector<Candidate> take_top_k(std::span<const float> logits, int k, const Softmax& softmax) {
  std::vector<Candidate> heap;  // its front is the least likely
  heap.reserve(k + 1);
  for (size_t i = 0; i < logits.size(); ++i) {
    if (static_cast<int>(heap.size()) == k && logits[i] <= heap.front().logit) continue;
    heap.push_back({logits[i], static_cast<int32_t>(i)});
    std::push_heap(heap.begin(), heap.end(), comes_first);
    if (static_cast<int>(heap.size()) > k) {
      std::pop_heap(heap.begin(), heap.end(), comes_first);
      heap.pop_back();
    }
  }
  std::sort_heap(heap.begin(), heap.end(), comes_first);
  for (Candidate& candidate : heap) candidate.weight = softmax.weight(candidate.logit);
  return heap;
}

double total_weight(std::span<const Candidate> candidates) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

// Cuts sorted candidates after the one with which their weight reaches `wanted`.
void cut_at_weight(std::vector<Candidate>& candidates, double wanted) {
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
std::vector<Candidate> take_top_p(std::span<const float> logits, float top_p,
                                  const Softmax& softmax) {
  constexpr int kBins = 256;
  const auto bin_of = [&](float logit) {
    return static_cast<int>(std::min(softmax.exponent(logit) * -8.0f, kBins - 1.0f));
  };
  std::array<double, kBins> bins{};
  for (const float logit : logits) bins[bin_of(logit)] += softmax.weight(logit);
  double total = 0;
  for (const double bin : bins) total += bin;
  const double wanted = total * top_p;
  int last = 0;
  for (double sum = bins[0]; sum < wanted && last + 1 < kBins; sum += bins[last]) ++last;

  std::vector<Candidate> candidates;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (bin_of(logits[i]) > last) continue;
    candidates.push_back({logits[i], static_cast<int32_t>(i), softmax.weight(logits[i])});
  }
  std::sort(candidates.begin(), candidates.end(), comes_first);
  cut_at_weight(candidates, wanted);
  return candidates;
}

// Every token, by id.
std::vector<Candidate> take_all(std::span<const float> logits, const Softmax& softmax) {
  std::vector<Candidate> candidates(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    candidates[i] = {logits[i], static_cast<int32_t>(i), softmax.weight(logits[i])};
  }
  return candidates;
}

int32_t draw(std::span<const Candidate> candidates, double uniform) {
  const double target = uniform * total_weight(candidates);
  double sum = 0;
  int32_t id = 0;
  for (const Candidate& candidate : candidates) {
    if (candidate.weight == 0) continue;
    id = candidate.id;
    sum += candidate.weight;
    if (sum > target) break;
  }
  return id;
}

}  // namespace

int32_t sample(std::span<float> logits, const SamplingParams& params,
               std::span<const int32_t> prompt, std::span<const int32_t> generated) {
  if (logits.empty()) return 0;
  apply_penalties(logits, params, prompt, generated);
  make_ordered(logits);
  const int32_t best = most_likely(logits);
  if (!(params.temperature > 0) || logits[best] == kImpossible) return best;

  const Softmax softmax{logits[best], params.temperature};
  const bool limited = params.top_k > 0 && static_cast<size_t>(params.top_k) < logits.size();
  std::vector<Candidate> candidates;
  if (limited) {
    candidates = take_top_k(logits, params.top_k, softmax);
    if (params.top_p < 1) cut_at_weight(candidates, total_weight(candidates) * params.top_p);
  } else if (params.top_p < 1) {
    candidates = take_top_p(logits, params.top_p, softmax);
  } else {
    candidates = take_all(logits, softmax);
  }
  // The most likely token has weight 1.
  std::erase_if(candidates, [&](const Candidate& c) { return c.weight < params.min_p; });
  if (candidates.empty()) return best;
  return draw(candidates, uniform_at(params.seed, generated.size()));
}

}  // namespace hearth::engine
