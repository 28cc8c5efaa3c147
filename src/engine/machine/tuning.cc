#include "engine/machine/tuning.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "engine/tensor/cores.h"
#include "engine/tensor/packed_matrix.h"

namespace hearth::engine {
namespace {

constexpr double kNearlyBest = 0.97;

bool complete(const MachineProfile& profile, const std::vector<Encoding>& encodings) {
  return profile.one_row.count(std::string(to_string(encodings.front()))) != 0 &&
         std::all_of(encodings.begin(), encodings.end(), [&](Encoding encoding) {
           return !is_quantised(encoding) ||
                  profile.panel_rows.count(std::string(to_string(encoding))) != 0;
         });
}

// Held by the one process that measures. The system drops it when that ends, however it does.
class MeasuringLock {
 public:
  explicit MeasuringLock(const std::string& folder)
      : file_(::open((folder + "/machine.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)),
        held_(file_ >= 0 && ::flock(file_, LOCK_EX | LOCK_NB) == 0) {}
  MeasuringLock(const MeasuringLock&) = delete;
  MeasuringLock& operator=(const MeasuringLock&) = delete;
  ~MeasuringLock() {
    if (file_ >= 0) ::close(file_);
  }
  bool held() const { return held_; }

 private:
  const int file_;
  const bool held_;
};

MachineProfile completed(const std::string& folder, const std::string& path, const MachineKey& key,
                         ThreadPool& pool, const kernels::Kernels& kernels,
                         const std::vector<Encoding>& encodings) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const MeasuringLock lock(folder);
  MachineProfile profile = load_profile(path, key).value_or(MachineProfile{});
  if (!lock.held() || complete(profile, encodings)) return profile;
  measure(pool, kernels, encodings, profile);
  // What was measured is of use even if the rest was not, and a profile is complete without either.
  if (!profile.read.empty()) (void)save_profile(path, key, profile);
  return profile;
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
  const std::string path = profile_path(folder, key);
  MachineProfile profile = load_profile(path, key).value_or(MachineProfile{});
  const bool all_cores = pool.threads() == key.cores;
  if (all_cores && !complete(profile, encodings)) {
    profile = completed(folder, path, key, pool, *isa.kernels, encodings);
  }
  const auto one_row = profile.one_row.find(std::string(to_string(encodings.front())));
  if (all_cores && one_row != profile.one_row.end()) {
    tuning.decode_threads = fewest_threads(one_row->second);
  }
  for (const auto& [name, rows] : profile.panel_rows) {
    for (int e = 0; e < kernels::kEncodings; ++e) {
      if (to_string(static_cast<Encoding>(e)) == name) tuning.panel_rows[e] = rows;
    }
  }
  return tuning;
}

}  // namespace hearth::engine
