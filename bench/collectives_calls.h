// How long sums take, measured alike whoever makes them: calls back to back, each timed on one
// rank. Every rank needs what all others give in the same call, so none runs ahead.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace hearth::bench {

inline constexpr size_t kSizes[] = {4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20};

// `all_reduce(float*, count)` for each size, `effort` times as often as needed for a figure. Prints
// a line of JSON a size where `speaks`: medians and 95th percentiles in microseconds.
template <class AllReduce>
void measure_sums(bool speaks, int effort, AllReduce all_reduce) {
  using Clock = std::chrono::steady_clock;
  for (const size_t bytes : kSizes) {
    std::vector<float> data(bytes / sizeof(float));
    const size_t calls = effort * std::clamp<size_t>((16 << 20) / bytes, 20, 1000);
    std::vector<double> us;
    for (size_t call = 0; call < calls + calls / 10; ++call) {
      std::fill(data.begin(), data.end(), 0.0F);  // sums of sums overflow, and touched by its owner
      const auto before = Clock::now();
      all_reduce(data.data(), data.size());
      const std::chrono::duration<double, std::micro> took = Clock::now() - before;
      if (call >= calls / 10) us.push_back(took.count());
    }
    std::sort(us.begin(), us.end());
    if (speaks) {
      std::printf("{\"bytes\": %zu, \"median_us\": %.2f, \"p95_us\": %.2f}\n", bytes,
                  us[us.size() / 2], us[us.size() * 95 / 100]);
    }
  }
}

}  // namespace hearth::bench
