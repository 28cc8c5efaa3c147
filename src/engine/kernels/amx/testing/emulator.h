// For tests: Intel AMX on processors that lack it. The instructions are illegal there; a handler of
// SIGILL carries them out on tiles in memory and goes on behind them.
//
// Emulated: LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILELOADDT1, TILESTORED and
// TDPBF16PS, as the Intel 64 and IA-32 Architectures Software Developer's Manual (volume 2)
// describes them. What the processor would refuse (a register that is not configured, say) aborts
// the process with a message, as does any other illegal instruction. A few microseconds each.
#pragma once

#include <cstdint>
#include <memory>

namespace hearth::engine::kernels {

// While one lives, the registry counts AMX as this machine's, and its instructions work in every
// thread, each with tiles of its own: the processor's where it has them. They may nest.
class AmxEmulation {
 public:
  AmxEmulation();
  ~AmxEmulation();
  AmxEmulation(const AmxEmulation&) = delete;
  AmxEmulation& operator=(const AmxEmulation&) = delete;

  // Instructions that any thread had emulated so far: 0 on a processor that has them.
  static int64_t emulated();

 private:
  struct State;
  std::unique_ptr<State> previous_;
};

}  // namespace hearth::engine::kernels
