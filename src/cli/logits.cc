// hearth logits: the numbers themselves, for comparison with other implementations.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>

#include "base/log.h"
#include "cli/command.h"
#include "cli/local_model.h"
#include "runtime/executor.h"

namespace hearth::cli {
namespace {

constexpr int kRowsPerStep = 512;

struct Options {
  LocalModelOptions local;
  std::vector<int32_t> ids;
  std::string out;
};

// A .npy file, version 1.0
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html), of float32 [rows,
// columns], written row by row.
class NpyFile {
 public:
  static Result<NpyFile> create(const std::string& path, size_t rows, int columns) {
    NpyFile file(path);
    if (file.file_ == nullptr) return file.failed();
    std::string header = fmt::format(
        "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", rows, columns);
    constexpr size_t kPreambleBytes = 10;
    constexpr size_t kAlignment = 64;
    header.append(kAlignment - (kPreambleBytes + header.size() + 1) % kAlignment, ' ');
    header += '\n';
    const char preamble[] = {'\x93',
                             'N',
                             'U',
                             'M',
                             'P',
                             'Y',
                             1,
                             0,
                             static_cast<char>(header.size() & 0xff),
                             static_cast<char>(header.size() >> 8)};
    static_assert(sizeof(preamble) == kPreambleBytes);
    HEARTH_RETURN_IF_ERROR(file.write(preamble, sizeof(preamble)));
    HEARTH_RETURN_IF_ERROR(file.write(header.data(), header.size()));
    return file;
  }

  Result<void> append(std::span<const float> values) {
    return write(values.data(), values.size_bytes());
  }
  Result<void> close() {
    if (std::fclose(file_.release()) != 0) return failed();
    return {};
  }

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };

  explicit NpyFile(const std::string& path) : path_(path), file_(std::fopen(path.c_str(), "wb")) {}
  Result<void> write(const void* data, size_t bytes) {
    if (std::fwrite(data, 1, bytes, file_.get()) != bytes) return failed();
    return {};
  }
  Error failed() const {
    return Error(Code::kInternal, "cannot write " + path_ + ": " + std::strerror(errno));
  }

  std::string path_;
  std::unique_ptr<std::FILE, Closer> file_;
};

Result<void> check_ids(const Options& options, const LocalModel& local) {
  const engine::ModelSpec& spec = local.files->spec();
  if (options.ids.size() > static_cast<size_t>(spec.context)) {
    return Error(Code::kInvalidArgument, fmt::format("{} ids are longer than {}'s context of {}",
                                                     options.ids.size(), local.name, spec.context));
  }
  for (const int32_t id : options.ids) {
    if (id < spec.vocab) continue;
    return Error(Code::kInvalidArgument,
                 fmt::format("id {} is not one of {}'s {}", id, local.name, spec.vocab));
  }
  return {};
}

Result<void> logits(const Options& options) {
  log::configure({.level = log::Level::kWarn});
  HEARTH_TRY(LocalModel local, open_model(options.local));
  HEARTH_RETURN_IF_ERROR(check_ids(options, local));
  const auto count = static_cast<int>(options.ids.size());
  HEARTH_RETURN_IF_ERROR(
      load_model(options.local, {.kv_tokens = count, .sequences_max = 1}, &local));
  HEARTH_TRY(auto executor,
             runtime::Executor::create(*local.model, *local.group, options.local.team));

  HEARTH_TRY(NpyFile file,
             NpyFile::create(options.out, options.ids.size(), local.files->spec().vocab));
  for (int done = 0; done < count; done += kRowsPerStep) {
    const int rows = std::min(kRowsPerStep, count - done);
    runtime::Step step{.output = runtime::StepOutput::kLogits,
                       .sequences = {{.slot = 0, .position = done, .rows = rows}}};
    step.tokens.assign(options.ids.begin() + done, options.ids.begin() + done + rows);
    const auto result = executor->run(step);
    if (!result.ok()) return local.explain(result.error());
    HEARTH_RETURN_IF_ERROR(file.append(result->logits));
  }
  return file.close();
}

}  // namespace

Action declare_logits(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_local_model_options(app, &options->local);
  add_ids_option(app, &options->ids);
  app.add_option("--out", options->out, "The .npy file to write: float32 [tokens, vocabulary]")
      ->type_name("FILE.npy")
      ->required();
  app.footer(
      "Row i holds the logits of the token after the first i + 1 ids.\n\n"
      "Examples:\n"
      "  hearth logits ember --ids 1,2,3 --out logits.npy --precision exact\n"
      "  hearth logits ember --ids 1,2,3 --out two.npy --ranks tensor=2:1 --transport tcp");
  return [options] { return logits(*options); };
}

}  // namespace hearth::cli
