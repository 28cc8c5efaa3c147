#include <benchmark/benchmark.h>

#include "benchmarks.h"

int main(int argc, char** argv) {
  hearth::engine::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
