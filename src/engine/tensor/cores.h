// The physical cores that this process may run on, and putting threads on them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hearth::engine {

// Logical processors of one physical core (SMT siblings), as the system numbers them.
using Core = std::vector<int>;

// The cores of which this process may use a processor (affinity mask and control group's set), in
// the machine's order; at least one. Of a core only the processors that it may use are listed.
std::vector<Core> usable_cores();

// How many of them the process gets the time of: a control group's quota (cpu.max) may be less.
// At least 1.
int physical_cores();

// What the processor calls itself ("AuthenticAMD 26 2 AMD EPYC 1"; empty if unknown), and the bytes
// of its outermost caches (0 if unknown).
struct Processor {
  std::string name;
  int64_t cache_bytes = 0;
};
Processor processor();

// Binds the calling thread to `core`. False, and nothing is changed, where the system cannot.
bool pin_to(const Core& core);

// Moves the calling thread to `core` if it is on another, and leaves it free to be moved again:
// its affinity stays as it is.
void move_to(const Core& core);

}  // namespace hearth::engine
