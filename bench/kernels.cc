// Kernels alone, on one thread: bytes of weights (or of cached keys and values) per second, and
// multiply-adds per second, for every instruction set that this machine supports.
//   hearth_bench_kernels --benchmark_filter=avx512/Q8_0
#include "engine/kernels/kernels.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/rank_model.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/packed_matrix.h"

namespace hearth::engine {
namespace {

using kernels::Isa;
using kernels::kGroup;
using kernels::kPageTokens;
using kernels::kTileRows;

constexpr int64_t kColumns = 4096;
constexpr int64_t kBytesMin = 96 << 20;  // beyond any cache of the machines this is meant for

// Numbers do not matter, their bytes do; zeros would read one page over and over. As halves or as
// powers of two they are near 1: subnormal sums would be slow.
Buffer filled(int64_t bytes, bool powers = false) {
  Buffer buffer = Buffer::allocate(bytes).value();
  auto* words = reinterpret_cast<uint32_t*>(buffer.data());
  for (int64_t i = 0; i < bytes / 4; ++i) {
    const uint32_t random = static_cast<uint32_t>(i) * 2654435761u;
    words[i] = powers ? (random & 0x0f0f0f0f) | 0x70707070 : random & 0x37ff37ff;
  }
  return buffer;
}

std::vector<float> waves(int64_t n) {
  std::vector<float> numbers(n);
  for (int64_t i = 0; i < n; ++i) numbers[i] = std::sin(static_cast<float>(i));
  return numbers;
}

// rows of activations times a matrix of at least kBytesMin.
void matmul(benchmark::State& state, const Isa* isa, Encoding encoding) {
  const int m = static_cast<int>(state.range(0));
  PackedMatrix matrix;
  matrix.encoding = encoding;
  matrix.groups = {.shift = 1,  // of 64 columns
                   .type = kernels::GroupFloat::kF16,
                   .offset = encoding == Encoding::kF8_E4M3 ? kernels::GroupOffset::kNone
                                                            : kernels::GroupOffset::kMin};
  matrix.rows = 16;
  matrix.columns = kColumns;
  matrix.rows = (kBytesMin / matrix.block_bytes() + 1) * 16;
  const Buffer weights = filled(matrix.bytes(), encoding == Encoding::kMXFP4);
  const std::vector<float> rows = waves(m * kColumns);
  std::vector<float> x(rows.size());
  std::vector<std::byte> xq(rows.size() / 4 * kernels::kQuadBytes);
  std::vector<float> scales(rows.size() / kGroup);
  std::vector<int32_t> sums(rows.size() / kernels::kHalfGroup);
  for (int r = 0; r < m; r += kTileRows) {
    const int64_t at = r * kColumns;
    const int n = std::min(kTileRows, m - r);
    isa->kernels->tile_f32(&rows[at], n, kColumns, &x[at]);
    isa->kernels->tile_q(&rows[at], n, kColumns, &xq[at / 4 * kernels::kQuadBytes],
                         &scales[at / kGroup], &sums[at / kernels::kHalfGroup]);
  }
  std::vector<float> out(m * matrix.rows);
  const Buffer panel = Buffer::allocate(kernels::panel_bytes(kColumns)).value();
  const auto index = static_cast<int>(encoding);
  const bool in_slabs =
      isa->slabs != nullptr && m >= isa->slabs->rows_min && isa->slabs->matmul[index] != nullptr;
  const Buffer slabs = Buffer::allocate(in_slabs ? kernels::slabs_bytes(m, kColumns) : 0).value();
  for (int r = 0; in_slabs && r < m; ++r) {
    isa->slabs->fill(&rows[r * kColumns], kColumns, r, m, slabs.data());
  }
  const auto function = in_slabs             ? isa->slabs->matmul[index]
                        : matrix.quantised() ? isa->kernels->matmul_q[index]
                                             : isa->kernels->matmul[index];
  for (auto _ : state) {
    function({.weights = weights.data(),
              .block_bytes = matrix.block_bytes(),
              .groups = matrix.groups,
              .columns = kColumns,
              .rows = m,
              .x = x.data(),
              .xq = xq.data(),
              .xq_scales = scales.data(),
              .xq_sums = sums.data(),
              .slabs = slabs.data(),
              .out = out.data(),
              .out_stride = matrix.rows,
              .out_columns = matrix.rows,
              .block_end = matrix.blocks(),
              .panel = panel.data()});
  }
  state.SetBytesProcessed(state.iterations() * matrix.bytes());
  state.counters["mac"] = benchmark::Counter(static_cast<double>(m * matrix.rows * kColumns),
                                             benchmark::Counter::kIsIterationInvariantRate);
}

// Some queries over each of several KV heads of 4,096 tokens.
void attention(benchmark::State& state, const Isa* isa, KvType type) {
  constexpr kernels::KvHead kHead = {.key_dim = 128, .value_dim = 128};
  constexpr int kTokens = 4096;
  constexpr int kPages = kTokens / kPageTokens;
  const int count = static_cast<int>(state.range(0));
  const auto index = static_cast<int>(type);
  const int64_t page_bytes = kernels::kv_head_bytes(kernels::kKvFormats[index], kHead);
  const auto heads = static_cast<int>(kBytesMin / (kPages * page_bytes)) + 1;
  std::vector<int32_t> table(heads * kPages);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<int32_t>(i);
  const Buffer pool = Buffer::allocate(page_bytes * static_cast<int64_t>(table.size())).value();
  const std::vector<float> numbers = waves(heads * kTokens + kHead.key_dim);
  for (int t = 0; t < heads * kTokens; ++t) {
    isa->kernels->attention->store[index]({.page = pool.data() + t / kPageTokens * page_bytes,
                                           .token = t % kPageTokens,
                                           .head = kHead,
                                           .key = &numbers[t],
                                           .value = &numbers[t]});
  }
  const std::vector<float> queries = waves(count * kHead.key_dim);
  std::vector<float> outputs(count * kHead.value_dim);
  const Buffer scratch = Buffer::allocate(kernels::attention_scratch_floats(kHead) * 4).value();
  std::vector<const float*> query_rows;
  std::vector<float*> output_rows;
  for (int i = 0; i < count; ++i) {
    query_rows.push_back(&queries[i * kHead.key_dim]);
    output_rows.push_back(&outputs[i * kHead.value_dim]);
  }
  const std::vector<int> starts(count, 0);
  const std::vector<int> lengths(count, kTokens);
  for (auto _ : state) {
    for (int head = 0; head < heads; ++head) {
      isa->kernels->attention->attend[index]({.queries = query_rows.data(),
                                              .outputs = output_rows.data(),
                                              .starts = starts.data(),
                                              .lengths = lengths.data(),
                                              .count = count,
                                              .head = kHead,
                                              .scale = 0.1f,
                                              .pool = pool.data(),
                                              .table = &table[head * kPages],
                                              .page_bytes = page_bytes,
                                              .scratch = reinterpret_cast<float*>(scratch.data())});
    }
  }
  state.SetBytesProcessed(state.iterations() * pool.bytes());
  state.counters["mac"] = benchmark::Counter(2.0 * heads * count * kTokens * kHead.key_dim,
                                             benchmark::Counter::kIsIterationInvariantRate);
}

void register_all() {
  for (const Isa& isa : kernels::isas()) {
    if (!isa.supported()) continue;
    const bool reference = isa.priority == 0;  // too slow for many rows
    for (int e = 0; e < static_cast<int>(Encoding::kMXFP4Split); ++e) {
      const auto encoding = static_cast<Encoding>(e);
      const std::string name = std::string(isa.name) + "/" + std::string(to_string(encoding));
      auto* bench = benchmark::RegisterBenchmark(name.c_str(), matmul, &isa, encoding)->Arg(1);
      if (!reference) bench->Arg(4)->Arg(8)->Arg(64);
      if (isa.slabs != nullptr) bench->Arg(16)->Arg(512);
    }
    constexpr const char* kTypes[] = {"f32", "q16", "bf16", "q8"};
    for (int type = 0; type < kernels::kKvTypes; ++type) {
      const std::string name = std::string(isa.name) + "/attention_" + kTypes[type];
      auto* bench =
          benchmark::RegisterBenchmark(name.c_str(), attention, &isa, static_cast<KvType>(type));
      bench->Arg(1)->Arg(2)->Arg(8);
      if (!reference) bench->Arg(kernels::kTileQueries);
    }
  }
}

}  // namespace
}  // namespace hearth::engine

int main(int argc, char** argv) {
  hearth::engine::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
