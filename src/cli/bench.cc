// hearth bench: tokens per second of this machine.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "base/prompt_rows.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/local_model.h"
#include "engine/machine.h"
#include "engine/work.h"
#include "runtime/executor.h"
#include "runtime/kv_plan.h"

namespace hearth::cli {
namespace {

using std::chrono::steady_clock;

constexpr int kWarmupTokens = 8;

struct Options {
  LocalModelOptions local;
  int prompt = 512;
  int generate = 128;
  int batch = 1;
  int depth = 0;
  int runs = 3;
  bool json = false;
};

struct Test {
  const char* kind;
  int tokens = 0;
  int batch = 1;
  engine::Work work;         // of one run
  std::vector<double> runs;  // tokens per second

  double all_tokens() const { return static_cast<double>(tokens) * batch; }
  double tokens_per_second() const {  // the median
    std::vector<double> sorted = runs;
    std::sort(sorted.begin(), sorted.end());
    const size_t half = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
  double bytes_per_second() const { return work.bytes / all_tokens() * tokens_per_second(); }
  double multiply_adds_per_second() const {
    return work.multiply_adds / all_tokens() * tokens_per_second();
  }
};

// What the machine can do: the best of what is measured before every run, because it drifts, and
// other programs only make it less.
class Machine {
 public:
  Machine(engine::Ceilings& ceilings, const engine::RankModel& model, bool quantised)
      : ceilings_(ceilings), model_(model), quantised_(quantised) {}

  void measure() {
    bytes_ = std::max(bytes_, ceilings_.read_rate(model_.weights()));
    multiply_adds_ = std::max(multiply_adds_, ceilings_.multiply_add_rate(quantised_));
  }
  double bytes_per_second() const { return bytes_; }
  double multiply_adds_per_second() const { return multiply_adds_; }

 private:
  engine::Ceilings& ceilings_;
  const engine::RankModel& model_;
  const bool quantised_;
  double bytes_ = 0;          // a second
  double multiply_adds_ = 0;  // a second
};

constexpr double kGiga = 1e9;
constexpr double kTera = 1e12;
constexpr double kFlops = 2;  // of a multiply-add

// The first sequence of a group that generates together, of so many nearly equal ones.
int group_begin(int group, int groups, int batch) { return group * batch / groups; }

// Rows of the next step of a prompt with `left` tokens to go.
int chunk_rows(int left, int stages) {
  return std::min(prompt_rows(left, stages, kStepRowsDefault), left);
}

// Drives an executor with as many equal sequences as asked, at the lengths asked. As many steps are
// in flight as a pipeline has stages: chunks of one prompt, or groups of sequences that generate.
class Bench {
 public:
  Bench(runtime::Executor& executor, int vocab) : executor_(executor), vocab_(vocab) {}

  // Feeds `tokens` tokens of slot `slot` from `position`; returns the seconds it took, the draw of
  // a token included.
  Result<double> prefill(int slot, int position, int tokens) {
    const auto started = steady_clock::now();
    for (int done = 0; done < tokens;) {
      const int left = tokens - done;
      const int rows = chunk_rows(left, executor_.stages());
      runtime::Step step;
      add(&step, slot, position + done, rows, /*sample=*/rows == left);
      for (int i = 0; i < rows; ++i) step.tokens.push_back(filler(position + done + i));
      if (executor_.full()) HEARTH_RETURN_IF_ERROR(executor_.collect());
      HEARTH_RETURN_IF_ERROR(executor_.submit(std::move(step)));
      done += rows;
    }
    HEARTH_RETURN_IF_ERROR(drain());
    return seconds_since(started);
  }

  // Generates `tokens` tokens in each of `batch` sequences that hold `position` tokens.
  Result<double> decode(int batch, int position, int tokens) {
    const int groups = std::min(executor_.stages(), batch);
    const auto started = steady_clock::now();
    for (int i = 0; i < tokens * groups; ++i) {
      const int group = i % groups;
      runtime::Step step;
      const int end = group_begin(group + 1, groups, batch);
      for (int slot = group_begin(group, groups, batch); slot < end; ++slot) {
        add(&step, slot, position + i / groups, 1, /*sample=*/true);
      }
      if (i < groups) {
        step.tokens.assign(step.sequences.size(), filler(position));
      } else {  // the oldest step in flight is this group's
        HEARTH_TRY(runtime::StepResult last, executor_.collect());
        step.tokens = std::move(last.tokens);
      }
      HEARTH_RETURN_IF_ERROR(executor_.submit(std::move(step)));
    }
    HEARTH_RETURN_IF_ERROR(drain());
    return seconds_since(started);
  }

  Result<void> fill(int batch, int depth) {
    for (int slot = 0; slot < batch && depth > 0; ++slot) {
      HEARTH_RETURN_IF_ERROR(prefill(slot, 0, depth));
    }
    return {};
  }

  Result<void> clear(int batch) {
    runtime::Step step;
    for (int slot = 0; slot < batch; ++slot) step.releases.push_back(slot);
    HEARTH_RETURN_IF_ERROR(executor_.run(std::move(step)));
    return {};
  }

 private:
  static double seconds_since(steady_clock::time_point started) {
    return std::chrono::duration<double>(steady_clock::now() - started).count();
  }
  static void add(runtime::Step* step, int slot, int position, int rows, bool sample) {
    step->sequences.push_back({.slot = slot,
                               .position = position,
                               .rows = rows,
                               .sample = sample,
                               .sampling = {.temperature = 0}});
  }
  // Some token or other: speed does not depend on which.
  int32_t filler(int position) const {
    return static_cast<int32_t>(int64_t{position} * 7919 % vocab_);
  }
  Result<void> drain() {
    while (executor_.in_flight() > 0) HEARTH_RETURN_IF_ERROR(executor_.collect());
    return {};
  }

  runtime::Executor& executor_;
  const int vocab_;
};

engine::Work prefill_work(const engine::WorkCount& count, int stages, int depth, int tokens) {
  engine::Work work;
  for (int done = 0; done < tokens;) {
    const int rows = chunk_rows(tokens - done, stages);
    work += count.pass(1, depth + done, rows, /*logits=*/done + rows == tokens);
    done += rows;
  }
  return work;
}

engine::Work decode_work(const engine::WorkCount& count, int stages, int batch, int depth,
                         int tokens) {
  const int groups = std::min(stages, batch);
  engine::Work work;
  for (int group = 0; group < groups; ++group) {
    const int sequences = group_begin(group + 1, groups, batch) - group_begin(group, groups, batch);
    for (int i = 0; i < tokens; ++i) work += count.pass(sequences, depth + i, 1, /*logits=*/true);
  }
  return work;
}

// Runs `test` as often as asked, each time from `depth` tokens in each sequence on; `once` gives
// its seconds.
template <class Once>
Result<void> run_test(const Options& options, Bench& bench, Machine& machine, Test* test,
                      Once once) {
  for (int i = 0; i < options.runs; ++i) {
    machine.measure();
    HEARTH_RETURN_IF_ERROR(bench.fill(test->batch, options.depth));
    HEARTH_TRY(const double seconds, once());
    test->runs.push_back(test->all_tokens() / seconds);
    HEARTH_RETURN_IF_ERROR(bench.clear(test->batch));
  }
  return {};
}

Result<std::vector<Test>> measure(const Options& options, const engine::WorkCount& count,
                                  Bench& bench, Machine& machine) {
  const int stages = options.local.pipeline;
  std::vector<Test> tests;
  HEARTH_RETURN_IF_ERROR(
      bench.prefill(0, 0, std::max(1, std::min(options.prompt, kStepRowsDefault))));
  HEARTH_RETURN_IF_ERROR(bench.decode(1, 1, std::min(options.generate, kWarmupTokens)));
  HEARTH_RETURN_IF_ERROR(bench.clear(options.batch));
  if (options.prompt > 0) {
    Test test{.kind = "prefill",
              .tokens = options.prompt,
              .work = prefill_work(count, stages, options.depth, options.prompt)};
    HEARTH_RETURN_IF_ERROR(run_test(options, bench, machine, &test, [&] {
      return bench.prefill(0, options.depth, options.prompt);
    }));
    tests.push_back(std::move(test));
  }
  if (options.generate > 0) {
    Test test{.kind = "decode",
              .tokens = options.generate,
              .batch = options.batch,
              .work = decode_work(count, stages, options.batch, options.depth, options.generate)};
    HEARTH_RETURN_IF_ERROR(run_test(options, bench, machine, &test, [&] {
      return bench.decode(options.batch, options.depth, options.generate);
    }));
    tests.push_back(std::move(test));
  }
  return tests;
}

void print_json(const Options& options, const LocalModel& local, const std::vector<Test>& tests,
                const Machine& machine) {
  nlohmann::ordered_json out = {
      {"model", local.name},
      {"encoding", local.files->main_encoding()},
      {"isa", local.model->isa()},
      {"kv", engine::to_string(local.model->kv_type())},
      {"threads", local.model->threads()},
      {"decode_threads", local.model->decode_threads()},
      {"ranks", options.local.ranks()},
      {"layers", local.layers()},
      {"transport", local.group->transport()},
      {"machine",
       {{"read_gigabytes_per_second", machine.bytes_per_second() / kGiga},
        {"teraflops", kFlops * machine.multiply_adds_per_second() / kTera}}},
      {"tests", nlohmann::ordered_json::array()}};
  for (const Test& test : tests) {
    out["tests"].push_back(
        {{"kind", test.kind},
         {"tokens", test.tokens},
         {"depth", options.depth},
         {"batch", test.batch},
         {"tokens_per_second", test.tokens_per_second()},
         {"runs", test.runs},
         {"gigabytes_per_second", test.bytes_per_second() / kGiga},
         {"share_of_bandwidth", test.bytes_per_second() / machine.bytes_per_second()},
         {"teraflops", kFlops * test.multiply_adds_per_second() / kTera},
         {"share_of_compute",
          test.multiply_adds_per_second() / machine.multiply_adds_per_second()}});
  }
  out["load_seconds"] = local.load_seconds;
  out["peak_rss_bytes"] = local.peak_rss_bytes();
  std::puts(out.dump().c_str());
}

std::string threads_text(const engine::RankModel& model) {
  const int threads = model.threads();
  const std::string text = fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
  return model.decode_threads() == threads
             ? text
             : fmt::format("{} ({} for one row)", text, model.decode_threads());
}

void print_table(const Options& options, const LocalModel& local, const std::vector<Test>& tests,
                 const Machine& machine) {
  std::puts(fmt::format("{} {}, {} cache, {}, {}, {} rank{} ({}), {} layers, loaded in {:.2f} s, "
                        "{} at most",
                        local.name, local.files->main_encoding(),
                        engine::to_string(local.model->kv_type()), local.model->isa(),
                        threads_text(*local.model), options.local.ranks(),
                        options.local.ranks() == 1 ? "" : "s", local.group->transport(),
                        fmt::join(local.layers(), "+"), local.load_seconds,
                        format_bytes(local.peak_rss_bytes()))
                .c_str());
  std::puts(fmt::format("this machine reads {:.1f} GB/s and multiplies {:.3g} TFLOP/s",
                        machine.bytes_per_second() / kGiga,
                        kFlops * machine.multiply_adds_per_second() / kTera)
                .c_str());
  std::puts(fmt::format("{:<8} {:>7} {:>7} {:>6} {:>12}   {:<24} {:>14} {:>17}", "test", "tokens",
                        "depth", "batch", "tokens/s", "lowest to highest", "GB/s", "TFLOP/s")
                .c_str());
  for (const Test& test : tests) {
    const auto [low, high] = std::minmax_element(test.runs.begin(), test.runs.end());
    const auto share = [](double part, double whole) {
      return fmt::format("{:.0f} %", 100 * part / whole);
    };
    std::puts(
        fmt::format("{:<8} {:>7} {:>7} {:>6} {:>12.1f}   {:<24} {:>8.1f} {:>5} {:>10.3f} {:>6}",
                    test.kind, test.tokens, options.depth, test.batch, test.tokens_per_second(),
                    fmt::format("{:.1f} to {:.1f}", *low, *high), test.bytes_per_second() / kGiga,
                    share(test.bytes_per_second(), machine.bytes_per_second()),
                    kFlops * test.multiply_adds_per_second() / kTera,
                    share(test.multiply_adds_per_second(), machine.multiply_adds_per_second()))
            .c_str());
  }
}

Result<void> bench(const Options& options) {
  log::configure({.level = log::Level::kWarn});
  HEARTH_TRY(LocalModel local, open_model(options.local));
  const int context = local.files->spec().context;
  const int longest = options.depth + std::max(options.prompt, options.generate);
  if (longest > context) {
    return Error(Code::kInvalidArgument,
                 fmt::format("{} tokens are longer than {}'s context of {}: choose smaller -p, -n "
                             "or -d",
                             longest, local.name, context));
  }
  const int64_t blocks = longest / runtime::kKvBlockTokens + 1;
  HEARTH_RETURN_IF_ERROR(load_model(options.local,
                                    {.kv_tokens = blocks * runtime::kKvBlockTokens * options.batch,
                                     .sequences_max = options.batch},
                                    &local));
  HEARTH_TRY(auto executor,
             runtime::Executor::create(*local.model, *local.group, options.local.team));
  HEARTH_TRY(const engine::WorkCount count,
             engine::WorkCount::create(*local.files, {.precision = options.local.precision,
                                                      .quantize = options.local.quantize,
                                                      .kv = options.local.kv}));
  HEARTH_TRY(const auto ceilings, engine::Ceilings::create());
  Machine machine(*ceilings, *local.model, count.quantised());
  Bench bench(*executor, local.files->spec().vocab);
  const auto tests = measure(options, count, bench, machine);
  if (!tests.ok()) return local.explain(tests.error());
  if (options.json) {
    print_json(options, local, *tests, machine);
  } else {
    print_table(options, local, *tests, machine);
  }
  return {};
}

}  // namespace

Action declare_bench(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_local_model_options(app, &options->local);
  const auto number = [&](const char* flag, int* value, int low, int high, const char* what) {
    app.add_option(flag, *value, what)->check(CLI::Range(low, high))->capture_default_str();
  };
  number("-p", &options->prompt, 0, 1 << 20, "Tokens of the prompt; 0: leave this test out");
  number("-n", &options->generate, 0, 1 << 20, "Tokens to generate; 0: leave this test out");
  number("-b", &options->batch, 1, limits::kSequencesMax, "Sequences that generate together");
  number("-d", &options->depth, 0, 1 << 20, "Tokens already in the cache before each test");
  number("-r", &options->runs, 1, 1000, "Runs of each test; the median counts");
  app.add_flag("--json", options->json, "One JSON object instead of a table");
  app.footer(
      "prefill: the tokens of one prompt; decode: tokens generated, of all sequences together, in\n"
      "as many groups as a pipeline has stages. Layers of its stages are shared out so that they\n"
      "decode about equally fast.\n"
      "GB/s: weights and cache that must be read; TFLOP/s: multiplications and additions of the\n"
      "model; each with its share of the most that all cores reached between the runs.\n\n"
      "Examples:\n"
      "  hearth bench ember\n"
      "  hearth bench ember -p 256 -n 64 -b 8 --json\n"
      "  hearth bench ember --ranks tensor=2 --transport shm --threads 1");
  return [options] { return bench(*options); };
}

}  // namespace hearth::cli
