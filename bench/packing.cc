// Packing alone, on one thread: bytes of a file's tensor per second, by encoding. Loading a model
// from the system's cache takes little else.
//   hearth_bench_packing --benchmark_filter=/Q6_K
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "benchmarks.h"
#include "engine/formats/encoding.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/packed_matrix.h"
#include "engine/tensor/transpose.h"

namespace hearth::engine {
namespace {

constexpr int64_t kColumns = 4096;
constexpr int64_t kFileBytes = 64 << 20;  // beyond any cache of the machines this is meant for

// What the numbers are does not matter.
std::span<const std::byte> file_bytes() {
  static const Buffer file = [] {
    Buffer buffer = Buffer::allocate(2 * kFileBytes).value();
    auto* words = reinterpret_cast<uint32_t*>(buffer.data());
    for (int64_t i = 0; i < buffer.bytes() / 4; ++i)
      words[i] = static_cast<uint32_t>(i) * 2654435761u;
    return buffer;
  }();
  return {file.data(), static_cast<size_t>(file.bytes())};
}

TensorView tensor(Encoding encoding) {
  const int64_t row_bytes = kColumns / block_elements(encoding) * block_bytes(encoding);
  const int64_t rows = kFileBytes / row_bytes / 128 * 128;
  TensorView view{.encoding = encoding, .rows = rows, .columns = kColumns, .bytes = file_bytes()};
  view.bytes = view.bytes.first(rows * row_bytes);
  if (!has_group_scales(encoding)) return view;
  const bool split = encoding == Encoding::kMXFP4Split;
  const bool fp8 = encoding == Encoding::kF8_E4M3;
  view.groups = {.type = Encoding::kBF16,
                 .rows = fp8 ? 128 : 1,
                 .columns = split ? 32
                            : fp8 ? 128
                                  : 64};
  const int64_t groups = rows / view.groups.rows * (kColumns / view.groups.columns);
  view.groups.scales = file_bytes().last(split ? groups : groups * 2);
  if (!split && !fp8) view.groups.biases = view.groups.scales;
  return view;
}

void pack(benchmark::State& state, Encoding encoding) {
  const TensorView view = tensor(encoding);
  PackedMatrix matrix(view);
  const Buffer memory = Buffer::allocate(matrix.bytes()).value();
  matrix.data = memory.data();
  pack_blocks(view, matrix, 0, matrix.blocks());  // touches the memory
  for (auto _ : state) pack_blocks(view, matrix, 0, matrix.blocks());
  state.SetBytesProcessed(state.iterations() * stored_bytes(view));
}

void transpose(benchmark::State& state, Encoding encoding) {
  const TensorView view = tensor(encoding);
  const Choice all{.count = view.columns};
  PackedMatrix matrix = transposed_geometry(view, all);
  const Buffer memory = Buffer::allocate(matrix.bytes()).value();
  matrix.data = memory.data();
  pack_transposed(view, all, matrix, 0, view.rows);
  for (auto _ : state) pack_transposed(view, all, matrix, 0, view.rows);
  state.SetBytesProcessed(state.iterations() * stored_bytes(view));
}

}  // namespace

void register_all() {
  for (int e = 0; e <= static_cast<int>(Encoding::kMXFP4Split); ++e) {
    const auto encoding = static_cast<Encoding>(e);
    const std::string name(to_string(encoding));
    benchmark::RegisterBenchmark(("pack/" + name).c_str(), pack, encoding);
    if (encoding > Encoding::kBF16) continue;
    benchmark::RegisterBenchmark(("transpose/" + name).c_str(), transpose, encoding);
  }
}

}  // namespace hearth::engine
