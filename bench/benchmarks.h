// What a program of benchmarks provides; main.cc runs them.
#pragma once

namespace hearth::engine {

// Called once, before any benchmark runs.
void register_all();

}  // namespace hearth::engine
