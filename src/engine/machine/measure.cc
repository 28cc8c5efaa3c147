#include <algorithm>
#include <limits>
#include <optional>
#include <span>

#include "base/units.h"
#include "engine/machine/probe.h"
#include "engine/machine/tuning.h"
#include "engine/tensor/cores.h"

namespace hearth::engine {
namespace {

constexpr int kRounds = 3;  // of every measurement; the best counts
constexpr int64_t kColumns = 2048;
// Of these, the first from which panels, or slabs, are faster is looked for.
constexpr int kPanelRows[] = {9, 12, 16, 20, 24, 32, 48, 64};
constexpr int kSlabsFrom[] = {2, 3, 4, 6, 8, 9, 12, 16, 24, 32, 48, 64};

// Larger than the caches, so that memory is what is measured; at most an eighth of what is free.
int64_t memory_bytes() {
  const int64_t wanted = std::clamp<int64_t>(4 * processor().cache_bytes, 64_MiB, 256_MiB);
  return std::min(wanted, available_memory() / 8);
}

// The best rate of each candidate, which take turns; nothing if one was always disturbed.
template <class Measure>
std::optional<RateByThreads> best_rates(const std::vector<int>& candidates, Measure measure) {
  std::map<int, Rate> best;
  for (int round = 0; round < kRounds; ++round) {
    for (const int candidate : candidates) {
      best[candidate] = better(best[candidate], measure(candidate));
    }
  }
  RateByThreads rates;
  for (const auto& [candidate, rate] : best) {
    if (!rate.undisturbed) return std::nullopt;
    rates[candidate] = rate.per_second;
  }
  return rates;
}

bool measure_memory(ThreadPool& pool, Probe& probe, SampleProduct& product,
                    MachineProfile& profile) {
  const auto read = best_rates(thread_counts(pool.threads()),
                               [&](int threads) { return probe.read(threads, product.weights()); });
  const auto peaks =
      best_rates({0, 1}, [&](int quantised) { return probe.multiply_adds(quantised == 1); });
  if (!read || !peaks) return false;
  profile.read = *read;
  profile.float_multiply_adds = peaks->at(0);
  profile.quantised_multiply_adds = peaks->at(1);
  return true;
}

// The first of `numbers` of rows, or the last, for which measure(rows, 1) is no slower than
// measure(rows, 0). By bisection: the more rows, the more the unpacking is worth.
template <class Measure>
std::optional<int> faster_from(std::span<const int> numbers, Measure measure) {
  const int* begin = numbers.data();
  const int* end = begin + numbers.size() - 1;
  while (begin < end) {
    const int* middle = begin + (end - begin) / 2;
    const auto rates = best_rates({0, 1}, [&](int way) { return measure(*middle, way); });
    if (!rates) return std::nullopt;
    if (rates->at(1) >= rates->at(0)) {
      end = middle;
    } else {
      begin = middle + 1;
    }
  }
  return *begin;
}

// Memory, peaks, and the products of one row of the encoding that most weights have.
bool measure_rates(ThreadPool& pool, Probe& probe, const kernels::Kernels& kernels,
                   Encoding encoding, MachineProfile& profile) {
  auto product = SampleProduct::create(
      kernels, {.encoding = encoding, .columns = kColumns, .bytes = memory_bytes()}, pool);
  if (!product.ok()) return false;
  if (profile.read.empty() && !measure_memory(pool, probe, *product, profile)) return false;
  const auto rates = best_rates(thread_counts(pool.threads()),
                                [&](int threads) { return probe.one_row(threads, *product); });
  if (!rates) return false;
  profile.one_row[std::string(to_string(encoding))] = *rates;
  return true;
}

bool measure_panels(ThreadPool& pool, Probe& probe, const kernels::Kernels& kernels,
                    Encoding encoding, MachineProfile& profile) {
  auto product = SampleProduct::create(kernels,
                                       {.encoding = encoding,
                                        .columns = kColumns,
                                        .bytes = 1_MiB,
                                        .rows_max = *std::prev(std::end(kPanelRows))},
                                       pool);
  if (!product.ok()) return false;
  constexpr int kNever = std::numeric_limits<int>::max();
  const auto rows = faster_from(kPanelRows, [&](int number, int panels) {
    return probe.many_rows(number, *product, panels == 1 ? 1 : kNever);
  });
  if (!rows) return false;
  profile.panel_rows[std::string(to_string(encoding))] = *rows;
  return true;
}

// REQUIRES: panels are measured.
bool measure_slabs(ThreadPool& pool, Probe& probe, const kernels::Isa& isa, Encoding encoding,
                   MachineProfile& profile) {
  const std::string name(to_string(encoding));
  const auto panels = profile.panel_rows.find(name);
  const int panel_rows =
      panels != profile.panel_rows.end() ? panels->second : kernels::kPanelRowsDefault;
  const auto rows = faster_from(kSlabsFrom, [&](int number, int slabs) {
    auto product = SampleProduct::create(*isa.kernels,
                                         {.encoding = encoding,
                                          .columns = kColumns,
                                          .bytes = 1_MiB,
                                          .rows_max = number,
                                          .slabs = slabs == 1 ? isa.slabs : nullptr},
                                         pool);
    return product.ok() ? probe.many_rows(number, *product, panel_rows) : Rate{};
  });
  if (!rows) return false;
  profile.slabs_from[name] = *rows;
  return true;
}

}  // namespace

bool measure(ThreadPool& pool, const kernels::Isa& isa, const std::vector<Encoding>& encodings,
             MachineProfile& profile) {
  const kernels::Kernels& kernels = *isa.kernels;
  Probe probe(pool, kernels);
  bool undisturbed = profile.knows_rates(encodings.front()) ||
                     measure_rates(pool, probe, kernels, encodings.front(), profile);
  for (const Encoding encoding : encodings) {
    undisturbed = undisturbed && (profile.knows_panels(encoding) ||
                                  measure_panels(pool, probe, kernels, encoding, profile));
    undisturbed = undisturbed && (profile.knows_slabs(encoding, isa) ||
                                  measure_slabs(pool, probe, isa, encoding, profile));
  }
  return !profile.read.empty();
}

}  // namespace hearth::engine
