#include "engine/machine/tuning.h"

#include <algorithm>

#include "engine/tensor/cores.h"

namespace hearth::engine {
namespace {

constexpr double kNearlyBest = 0.97;

bool complete(const MachineProfile& profile, const kernels::Isa& isa,
              const std::vector<Encoding>& encodings) {
  return profile.knows_rates(encodings.front()) &&
         std::all_of(encodings.begin(), encodings.end(), [&](Encoding encoding) {
           return profile.knows_panels(encoding) && profile.knows_slabs(encoding, isa);
         });
}

// What was measured of encodings, by their numbers.
void take(const std::map<std::string, int>& measured, std::array<int, kernels::kEncodings>& out) {
  for (int e = 0; e < kernels::kEncodings; ++e) {
    const auto found = measured.find(std::string(to_string(static_cast<Encoding>(e))));
    if (found != measured.end()) out[e] = found->second;
  }
}

}  // namespace

int fewest_threads(const RateByThreads& rates) {
  double best = 0;
  for (const auto& [threads, rate] : rates) best = std::max(best, rate);
  return std::find_if(rates.begin(), rates.end(),
                      [&](const auto& entry) { return entry.second >= kNearlyBest * best; })
      ->first;
}

Tuning tune(const std::string& folder, ThreadPool& pool, const kernels::Isa& isa,
            const std::vector<Encoding>& encodings) {
  Tuning tuning;
  if (folder.empty() || encodings.empty()) return tuning;
  const MachineKey key{
      .cpu = processor().name, .isa = std::string(isa.name), .cores = physical_cores()};
  const bool all_cores = pool.threads() == key.cores;
  const MachineProfile profile = completed_profile(
      folder, key,
      [&](const MachineProfile& known) { return !all_cores || complete(known, isa, encodings); },
      [&](MachineProfile& known) { return measure(pool, isa, encodings, known); });
  const auto one_row = profile.one_row.find(std::string(to_string(encodings.front())));
  if (all_cores && one_row != profile.one_row.end()) {
    tuning.decode_threads = fewest_threads(one_row->second);
  }
  take(profile.panel_rows, tuning.panel_rows);
  take(profile.slabs_from, tuning.slabs_from);
  return tuning;
}

}  // namespace hearth::engine
