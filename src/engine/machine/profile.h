// What was measured of this machine, as it is kept in a file between runs.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "engine/kernels/isa.h"
#include "engine/model_files.h"

namespace hearth::engine {

// What a profile holds for. Kernels of another instruction set, or another number of cores, have a
// file of their own; one of another processor (a folder shared by machines) is foreign.
struct MachineKey {
  std::string cpu;  // processor_name()
  std::string isa;
  int cores = 1;
};

using RateByThreads = std::map<int, double>;

struct MachineProfile {
  RateByThreads read;              // bytes a second from memory
  double float_multiply_adds = 0;  // a second, of all cores
  double quantised_multiply_adds = 0;
  // By encoding ("Q4_0"), as far as models that were loaded needed them:
  std::map<std::string, RateByThreads> one_row;  // bytes of weights a second, of a row's product
  std::map<std::string, int> panel_rows;         // as kernels::MatmulArgs::panel_rows
  std::map<std::string, int> slabs_from;         // as Tuning::slabs_from

  bool knows_rates(Encoding encoding) const;
  bool knows_panels(Encoding encoding) const;                          // or there are none
  bool knows_slabs(Encoding encoding, const kernels::Isa& isa) const;  // or it has none
};

// The file of a key in `folder`: "machine-avx512-2.json".
std::string profile_path(const std::string& folder, const MachineKey& key);

// Nothing if there is no file, or it is damaged, foreign, or of another version of Hearth.
std::optional<MachineProfile> load_profile(const std::string& path, const MachineKey& key);

// Whole or not at all. Errors name the file.
Result<void> save_profile(const std::string& path, const MachineKey& key,
                          const MachineProfile& profile);

// The profile in `folder`, or an empty one. If it is not `complete`, `measure` adds to it, and it
// is saved if `measure` says that it is of use; one process at a time does so, and the others take
// what there is. The folder is created; where it cannot be written, nothing is measured.
MachineProfile completed_profile(const std::string& folder, const MachineKey& key,
                                 const std::function<bool(const MachineProfile&)>& complete,
                                 const std::function<bool(MachineProfile&)>& measure);

}  // namespace hearth::engine
