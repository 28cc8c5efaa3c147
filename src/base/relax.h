// What a thread does between two looks at something that another thread is about to change.
#pragma once

namespace hearth {

// Some tens of cycles that leave the core's resources to others.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb");  // waits a little, which `yield` does not on most cores
#endif
}

}  // namespace hearth
