// What is best done differently from machine to machine, found by measuring.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/kernels/kernels.h"
#include "engine/machine/profile.h"
#include "engine/model_files.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

struct Tuning {
  // Threads of a pass of one row; 0: all. More than saturate the memory only slow each other down
  // (a Raspberry Pi 5 reads fastest with two of its four cores).
  int decode_threads = 0;
  std::array<int, kernels::kEncodings> panel_rows;  // as kernels::MatmulArgs::panel_rows

  // From so many rows on they meet a matrix as slabs, where there are some.
  std::array<int, kernels::kEncodings> slabs_from;

  Tuning() {
    panel_rows.fill(kernels::kPanelRowsDefault);
    slabs_from.fill(kernels::kSlabsFromDefault);
  }
};

// The fewest threads that reach 97 % of the best rate. REQUIRES: not empty.
int fewest_threads(const RateByThreads& rates);

// Adds to `profile` what it lacks for a model of these encodings, the one of most of its weights
// first, and says whether it is worth keeping. It stops, and the rest is missing, when something
// else keeps the machine busy or there is no memory to measure with. Some tenths of a second.
// REQUIRES: `pool` has a thread for every physical core.
bool measure(ThreadPool& pool, const kernels::Isa& isa, const std::vector<Encoding>& encodings,
             MachineProfile& profile);

// From the profile in `folder` ("": there is none), which is completed first if it can be: by a
// pool with a thread for every physical core, and by one process at a time. The folder is created.
// What was not measured stays at its default.
Tuning tune(const std::string& folder, ThreadPool& pool, const kernels::Isa& isa,
            const std::vector<Encoding>& encodings);

}  // namespace hearth::engine
