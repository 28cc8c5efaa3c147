#include "engine/machine/probe.h"

#include <time.h>

#include <algorithm>
#include <chrono>
#include <vector>

namespace hearth::engine {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTime{5};  // of one measurement
// Of a thread's time that it must have spent on a core. Waiting briefly at a barrier counts.
constexpr double kOnCore = 0.97;
constexpr int64_t kReadBytes = 4 << 20;     // of all threads, from one meeting to the next
constexpr int64_t kMatrixBytes = 2 << 20;   // of a layer's matrices between two barriers
constexpr int64_t kCachedBytes = 64 << 10;  // of weights, in the second-level cache
constexpr int64_t kPeakRepeats = 10000;

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double seconds_since(steady_clock::time_point start) {
  return std::chrono::duration<double>(steady_clock::now() - start).count();
}

// Reads whole lines, in order, ahead of which the next ones are fetched as the kernels do.
void read_all(std::span<const std::byte> bytes) {
  constexpr size_t kLine = 64;
  constexpr size_t kAhead = 4096;
  uint64_t sums[kLine / 8] = {};
  for (size_t at = 0; at + kLine <= bytes.size(); at += kLine) {
    __builtin_prefetch(bytes.data() + at + kAhead);
    uint64_t words[kLine / 8];
    __builtin_memcpy(words, bytes.data() + at, kLine);
    for (size_t i = 0; i < kLine / 8; ++i) sums[i] += words[i];
  }
  asm volatile("" : : "r"(sums) : "memory");  // wanted
}

// The i-th of the pieces of about `size` that [0, total) is cut into, from the first on again after
// the last.
Range piece(int64_t i, int64_t size, int64_t total) {
  const auto pieces = static_cast<int>(std::max<int64_t>(1, total / std::max<int64_t>(1, size)));
  return part_of(total, static_cast<int>(i % pieces), pieces);
}

Range part_of_piece(const Worker& worker, const Range& all) {
  const Range part = worker.part(all.end - all.begin);
  return {all.begin + part.begin, all.begin + part.end};
}

Rate times(Rate rate, double units) { return {rate.per_second * units, rate.undisturbed}; }

}  // namespace

Rate better(const Rate& a, const Rate& b) {
  if (a.undisturbed != b.undisturbed) return a.undisturbed ? a : b;
  return a.per_second > b.per_second ? a : b;
}

std::vector<int> thread_counts(int threads) {
  std::vector<int> counts;
  for (int power = 1; power < threads; power *= 2) {
    counts.push_back(power);
    const int half_more = power + power / 2;
    if (power > 1 && half_more < threads) counts.push_back(half_more);
  }
  counts.push_back(threads);
  return counts;
}

Rate Probe::steps(int threads, const std::function<void(Worker&, int64_t)>& step) {
  std::vector<char> on_core(static_cast<size_t>(threads));
  int64_t done = 0;
  double seconds = 0;
  bool more = true;
  pool_.run(
      [&](Worker& worker) {
        worker.barrier();
        const auto started = steady_clock::now();
        const double before = thread_seconds();
        for (int64_t i = 0; more; ++i) {
          step(worker, i);
          worker.barrier();
          if (worker.index() == 0) {
            done = i + 1;
            seconds = seconds_since(started);
            more = steady_clock::now() < started + kTime;
          }
          worker.barrier();
        }
        const double used = thread_seconds() - before;
        on_core[worker.index()] = used >= kOnCore * seconds_since(started) ? 1 : 0;
      },
      threads);
  const bool undisturbed = std::all_of(on_core.begin(), on_core.end(), [](char on) { return on; });
  return {static_cast<double>(done) / seconds, undisturbed};
}

Rate Probe::read(int threads, std::span<const std::byte> memory) {
  const auto bytes = static_cast<int64_t>(memory.size());
  const int64_t pieces = std::max<int64_t>(1, bytes / kReadBytes);
  const Rate rate = steps(threads, [&](Worker& worker, int64_t i) {
    const Range range = part_of_piece(worker, piece(i, kReadBytes, bytes));
    read_all(memory.subspan(range.begin, range.end - range.begin));
  });
  return times(rate, static_cast<double>(bytes) / static_cast<double>(pieces));
}

Rate Probe::multiply_adds(bool quantised) {
  const auto peak = quantised ? kernels_.peak_quantised : kernels_.peak_float;
  const Rate rate = steps(pool_.threads(), [&](Worker&, int64_t) { peak(kPeakRepeats); });
  return times(rate, peak(1) * kPeakRepeats * pool_.threads());
}

Rate Probe::one_row(int threads, SampleProduct& product) {
  const int64_t blocks = product.matrix().blocks();
  const int64_t size = kMatrixBytes / product.matrix().block_bytes();
  const Rate rate = steps(threads, [&](Worker& worker, int64_t i) {
    product.run(1, part_of_piece(worker, piece(i, size, blocks)), nullptr, 2);
  });
  const int64_t pieces = std::max<int64_t>(1, blocks / std::max<int64_t>(1, size));
  return times(rate, static_cast<double>(product.matrix().bytes()) / static_cast<double>(pieces));
}

Rate Probe::many_rows(int rows, SampleProduct& product, int panel_rows) {
  std::vector<std::byte> room(kernels::panel_bytes(product.matrix().columns) + 64);
  void* panel = room.data();
  size_t space = room.size();
  std::align(64, room.size() - 64, panel, space);
  const int64_t blocks = std::clamp<int64_t>(kCachedBytes / product.matrix().block_bytes(), 2,
                                             product.matrix().blocks());
  return steps(1, [&](Worker&, int64_t) {
    product.run(rows, {0, blocks}, static_cast<std::byte*>(panel), panel_rows);
  });
}

}  // namespace hearth::engine
