#include "cluster/token_costs.h"

#include <algorithm>

namespace hearth::cluster {
namespace {

// What models reach of the bandwidth that is measured in a loop without anything else: about, by
// the tables of docs/performance.md.
constexpr double kReadReached = 0.85;

// Costs and speeds follow from each other. Once is enough where devices have timed different
// layers, a few times where they have some in common.
constexpr int kFitRounds = 4;

bool same_files(const ModelFacts& a, const ModelFacts& b) {
  return a.id == b.id && a.layers == b.layers && a.architecture == b.architecture &&
         a.encoding == b.encoding && a.layer_bytes == b.layer_bytes;
}

// Nothing unless it is about as many layers as there are.
const TokenTimes* times_of(const DeviceFacts& device, const ModelFacts& model,
                           const std::string& kv) {
  const ModelFacts* same = find_same(device, model);
  if (same == nullptr) return nullptr;
  const auto found = same->token_times.find(kv);
  if (found == same->token_times.end()) return nullptr;
  const std::vector<int64_t>& layers = found->second.layers_ns;
  const bool fits = layers.size() == static_cast<size_t>(std::max(model.layers, 0));
  const bool timed = std::ranges::any_of(layers, [](int64_t ns) { return ns > 0; });
  return fits && timed ? &found->second : nullptr;
}

}  // namespace

TokenCost token_cost(const ModelFacts& model, int layers, bool head) {
  const double all = static_cast<double>(model.token_bytes);
  const double head_bytes = std::min(static_cast<double>(model.head_bytes), all);
  const double bytes =
      (all - head_bytes) * layers / std::max(model.layers, 1) + (head ? head_bytes : 0);
  // Multiply-adds are spread as bytes are: nearly all weights have one width.
  const double part = all > 0 ? bytes / all : 0;
  return {bytes, part * static_cast<double>(model.token_multiply_adds)};
}

const ModelFacts* find_same(const DeviceFacts& device, const ModelFacts& model) {
  const auto found = std::ranges::find_if(
      device.models, [&](const ModelFacts& other) { return same_files(other, model); });
  return found == device.models.end() ? nullptr : &*found;
}

TokenCosts::TokenCosts(const ModelFacts& model, const std::string& kv,
                       const std::vector<const DeviceFacts*>& devices)
    : costs_{.layers = std::vector<double>(static_cast<size_t>(model.layers),
                                           token_cost(model, 1, false).bytes),
             .head = token_cost(model, 0, true).bytes},
      reached_(kReadReached) {
  if (costs_.layers.empty() || !(costs_.layers.front() > 0)) return;
  for (const DeviceFacts* device : devices) {
    if (const TokenTimes* times = times_of(*device, model, kv)) timed_[device->id] = {times};
  }
  fit();
  // A device that has not run the model is likely to reach as much of its bandwidth as those that
  // have.
  double reached = 0;
  int count = 0;
  for (const DeviceFacts* device : devices) {
    if (!has_timed(*device) || device->memory_bytes_per_second <= 0) continue;
    reached += speed(*device) / static_cast<double>(device->memory_bytes_per_second);
    ++count;
  }
  if (count > 0) reached_ = reached / count;
}

template <class Ns>
double TokenCosts::cost_of(Ns ns, double counted) const {
  double sum = 0;
  int count = 0;
  for (const auto& [id, timed] : timed_) {
    if (ns(*timed.times) <= 0) continue;
    sum += static_cast<double>(ns(*timed.times)) * 1e-9 * timed.speed;
    ++count;
  }
  return count > 0 ? sum / count : counted;
}

void TokenCosts::fit() {
  const LayerCosts counted = costs_;
  const size_t layers = counted.layers.size();
  for (int round = 0; round < kFitRounds; ++round) {
    for (auto& [id, timed] : timed_) {
      double cost = 0;
      double seconds = 0;
      for (size_t i = 0; i < layers; ++i) {
        if (timed.times->layers_ns[i] <= 0) continue;
        cost += costs_.layers[i];
        seconds += static_cast<double>(timed.times->layers_ns[i]) * 1e-9;
      }
      timed.speed = cost / seconds;
    }
    for (size_t i = 0; i < layers; ++i) {
      costs_.layers[i] =
          cost_of([i](const TokenTimes& t) { return t.layers_ns[i]; }, counted.layers[i]);
    }
  }
  costs_.embedding = cost_of([](const TokenTimes& t) { return t.embedding_ns; }, counted.embedding);
  costs_.head = cost_of([](const TokenTimes& t) { return t.head_ns; }, counted.head);
}

double TokenCosts::speed(const DeviceFacts& device) const {
  const auto found = timed_.find(device.id);
  if (found != timed_.end()) return found->second.speed;
  return reached_ * static_cast<double>(std::max<int64_t>(device.memory_bytes_per_second, 0));
}

std::optional<double> TokenCosts::seconds(const DeviceFacts& device, int begin, int end,
                                          bool with_head) const {
  const double speed = this->speed(device);
  if (!(speed > 0)) return std::nullopt;
  const auto found = timed_.find(device.id);
  const TokenTimes* times = found == timed_.end() ? nullptr : found->second.times;
  const auto part = [speed](int64_t ns, double cost) {
    return ns > 0 ? static_cast<double>(ns) * 1e-9 : cost / speed;
  };
  double seconds = 0;
  for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
    seconds += part(times == nullptr ? 0 : times->layers_ns[i], costs_.layers[i]);
  }
  if (begin == 0) seconds += part(times == nullptr ? 0 : times->embedding_ns, costs_.embedding);
  if (with_head) seconds += part(times == nullptr ? 0 : times->head_ns, costs_.head);
  return seconds;
}

}  // namespace hearth::cluster
