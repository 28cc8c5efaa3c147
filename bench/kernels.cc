// Kernels alone, on one thread: bytes of weights (or of cached keys and values) per second, and
// multiply-adds per second, for every instruction set that this machine supports.
//   hearth_bench_kernels --benchmark_filter=avx512/Q8_0
#include "engine/kernels/kernels.h"

#include <benchmark/benchmark.h>

#include <cmath>
#include <string>
#include <vector>

#include "benchmarks.h"
#include "engine/kernels/isa.h"
#include "engine/machine/sample_product.h"
#include "engine/rank_model.h"
#include "engine/tensor/buffer.h"
#include "engine/tensor/packed_matrix.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {
namespace {

using kernels::Isa;
using kernels::kPageTokens;

constexpr int64_t kColumns = 4096;
constexpr int64_t kBytesMin = 96 << 20;  // beyond any cache of the machines this is meant for

std::vector<float> waves(int64_t n) {
  std::vector<float> numbers(n);
  for (int64_t i = 0; i < n; ++i) numbers[i] = std::sin(static_cast<float>(i));
  return numbers;
}

SampleProduct product_of(const Isa& isa, Encoding encoding, int64_t columns, int rows) {
  const auto pool = ThreadPool::create(1).value();
  return SampleProduct::create(*isa.kernels,
                               {.encoding = encoding,
                                .columns = columns,
                                .bytes = kBytesMin,
                                .rows_max = rows,
                                .slabs = rows >= kernels::kSlabsFromDefault ? isa.slabs : nullptr},
                               *pool)
      .value();
}

void report(benchmark::State& state, const PackedMatrix& matrix) {
  state.SetBytesProcessed(state.iterations() * matrix.bytes());
  state.counters["mac"] =
      benchmark::Counter(static_cast<double>(state.range(0) * matrix.rows * matrix.columns),
                         benchmark::Counter::kIsIterationInvariantRate);
}

// Rows of activations times a matrix of at least kBytesMin.
void matmul(benchmark::State& state, const Isa* isa, Encoding encoding) {
  const int m = static_cast<int>(state.range(0));
  SampleProduct product = product_of(*isa, encoding, kColumns, m);
  const Buffer panel = Buffer::allocate(kernels::panel_bytes(kColumns)).value();
  for (auto _ : state) {
    product.run(m, {0, product.matrix().blocks()}, panel.data(), kernels::kPanelRowsDefault);
  }
  report(state, product.matrix());
}

// Rows of activations times many small matrices, transposed: the shape of latent attention's.
void transposed(benchmark::State& state, const Isa* isa, Encoding encoding) {
  constexpr int64_t kInputs = 128;
  constexpr int64_t kOutputs = 512;
  constexpr int64_t kBlocks = kInputs / kernels::kBlockRows;
  const int m = static_cast<int>(state.range(0));
  const SampleProduct product = product_of(*isa, encoding, kOutputs, 1);
  const PackedMatrix& all = product.matrix();
  const std::vector<float> x = waves(m * kInputs);
  std::vector<float> out(m * kOutputs);
  const Buffer panel =
      Buffer::allocate(kernels::transposed_panel_floats(kInputs, kOutputs) * int64_t{sizeof(float)})
          .value();
  for (auto _ : state) {
    for (int64_t b = 0; b + kBlocks <= all.blocks(); b += kBlocks) {
      isa->kernels->matmul_transposed[static_cast<int>(encoding)](
          {.weights = all.data + b * all.block_bytes(),
           .block_bytes = all.block_bytes(),
           .groups = all.groups,
           .inputs = kInputs,
           .outputs = kOutputs,
           .rows = m,
           .x = x.data(),
           .x_stride = kInputs,
           .out = out.data(),
           .out_stride = kOutputs,
           .panel = reinterpret_cast<float*>(panel.data())});
    }
  }
  report(state, all);
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

}  // namespace

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
      auto* turned =
          benchmark::RegisterBenchmark((name + "_transposed").c_str(), transposed, &isa, encoding);
      turned->Arg(1);
      if (!reference) turned->Arg(64);
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

}  // namespace hearth::engine
