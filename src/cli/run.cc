// hearth run: one answer, or a conversation.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/ids.h"
#include "base/log.h"
#include "cli/answer_stream.h"
#include "cli/command.h"
#include "cli/local_model.h"
#include "engine/tokenizer.h"
#include "runtime/instance.h"
#include "runtime/kv_plan.h"

namespace hearth::cli {
namespace {

using nlohmann::json;

struct Options {
  LocalModelOptions local;
  std::string prompt;
  bool has_prompt = false;
  int max_tokens = 0;
  float temperature = 0.7f;
  std::optional<uint64_t> seed;
  bool raw = false;
  bool verbose = false;
};

std::atomic<bool> interrupted_by_user = false;

// While one of these lives, Ctrl-C sets interrupted_by_user instead of ending the program.
class CatchInterrupts {
 public:
  CatchInterrupts() {
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted_by_user = true; };  // no SA_RESTART: reading returns
    sigaction(SIGINT, &action, &before_);
  }
  ~CatchInterrupts() { sigaction(SIGINT, &before_, nullptr); }
  CatchInterrupts(const CatchInterrupts&) = delete;
  CatchInterrupts& operator=(const CatchInterrupts&) = delete;

 private:
  struct sigaction before_ {};
};

runtime::GenerateRequest request_for(const Options& options, const json& messages) {
  runtime::GenerateRequest request;
  if (options.raw) {
    request.prompt = runtime::TextPrompt{messages.back()["content"].get<std::string>()};
  } else {
    // Bytes that are no text become U+FFFD, as the tokenizer would make them.
    request.prompt = runtime::ChatPrompt{
        messages.dump(-1, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace)};
  }
  request.sampling = {
      .temperature = options.temperature,
      .seed = options.seed.value_or(std::strtoull(random_hex(8).c_str(), nullptr, 16))};
  request.max_tokens = options.max_tokens;
  return request;
}

void print_summary(const Options& options, const Answered& answered) {
  const bool wanted = options.verbose || isatty(STDERR_FILENO) != 0;
  if (!wanted || answered.interrupted) return;
  std::fprintf(stderr, "%s\n", answered.summary().c_str());
}

Result<void> ask_once(const Options& options, runtime::Generator& generator,
                      const std::string& prompt) {
  const json messages = {{{"role", "user"}, {"content", prompt}}};
  HEARTH_TRY(const Answered answered,
             print_answer(generator, request_for(options, messages), interrupted_by_user));
  print_summary(options, answered);
  return {};
}

enum class LineEnd { kLine, kInterrupted, kEnd };

// A line of stdin, without its newline.
LineEnd read_line(std::string* line) {
  char* buffer = nullptr;
  size_t capacity = 0;
  errno = 0;
  const ssize_t size = getline(&buffer, &capacity, stdin);
  const std::unique_ptr<char, decltype(&std::free)> owner(buffer, &std::free);
  if (size < 0) {
    const bool interrupted = errno == EINTR;
    std::clearerr(stdin);
    return interrupted ? LineEnd::kInterrupted : LineEnd::kEnd;
  }
  line->assign(buffer, static_cast<size_t>(size));
  if (line->ends_with('\n')) line->pop_back();
  return LineEnd::kLine;
}

// Asks with the whole conversation; when that has grown past the context, without its oldest turns.
Result<Answered> ask_with_history(const Options& options, runtime::Generator& generator,
                                  json* messages) {
  for (;;) {
    auto answered = print_answer(generator, request_for(options, *messages), interrupted_by_user);
    const bool too_long =
        !answered.ok() && answered.error().code() == Code::kInvalidArgument && !options.raw;
    if (!too_long || messages->size() < 3) return answered;
    messages->erase(messages->begin(), messages->begin() + 2);
  }
}

Result<void> chat(const Options& options, runtime::Generator& generator, const std::string& name) {
  const CatchInterrupts catching;
  std::fprintf(stderr, "Chat with %s. Ctrl-C stops an answer, Ctrl-D leaves.\n", name.c_str());
  json messages = json::array();
  for (;;) {
    std::fputs("> ", stdout);
    std::fflush(stdout);
    std::string line;
    const LineEnd end = read_line(&line);
    if (end != LineEnd::kLine) std::fputc('\n', stdout);
    if (end == LineEnd::kEnd) return {};
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;

    interrupted_by_user = false;
    messages.push_back({{"role", "user"}, {"content", line}});
    const auto answered = ask_with_history(options, generator, &messages);
    if (!answered.ok()) {
      // The instance lives on after the request's own faults only.
      if (answered.error().code() != Code::kInvalidArgument) return answered.error();
      std::fprintf(stderr, "%s\n", answered.error().message().c_str());
      messages.erase(messages.size() - 1);
      continue;
    }
    print_summary(options, *answered);
    messages.push_back({{"role", "assistant"}, {"content", answered->text}});
  }
}

Result<void> run(Options options) {
  log::configure({.level = options.verbose ? log::Level::kInfo : log::Level::kWarn});
  const bool interactive = !options.has_prompt && isatty(STDIN_FILENO) != 0;
  if (!options.has_prompt && !interactive) {
    options.prompt.assign(std::istreambuf_iterator<char>(std::cin),
                          std::istreambuf_iterator<char>());
    while (options.prompt.ends_with('\n')) options.prompt.pop_back();
  }
  if (!interactive && options.prompt.empty()) {
    return Error(Code::kInvalidArgument, "the prompt is empty: give one, or type into a terminal");
  }
  HEARTH_TRY(LocalModel local, open_model(options.local));
  const int64_t blocks =
      (local.files->spec().context + runtime::kKvBlockTokens - 1) / runtime::kKvBlockTokens;
  const LocalRoom room{
      .kv_tokens = std::min(blocks * runtime::kKvBlockTokens,
                            runtime::default_kv_plan(local.files->spec()).kv_tokens),
      .sequences_max = 1};
  HEARTH_RETURN_IF_ERROR(load_model(options.local, room, &local));
  HEARTH_TRY(std::shared_ptr<const engine::Tokenizer> tokenizer,
             engine::Tokenizer::load(local.path));
  HEARTH_TRY(const auto instance, runtime::Instance::start({.name = local.name,
                                                            .files = local.files.get(),
                                                            .tokenizer = std::move(tokenizer),
                                                            .model = std::move(local.model),
                                                            .group = std::move(local.group),
                                                            .team = options.local.team}));
  const Result<void> done = interactive ? chat(options, *instance, local.name)
                                        : ask_once(options, *instance, options.prompt);
  if (!done.ok()) return local.explain(done.error());
  return {};
}

}  // namespace

Action declare_run(CLI::App& app) {
  auto options = std::make_shared<Options>();
  add_local_model_options(app, &options->local);
  CLI::Option* prompt =
      app.add_option("PROMPT", options->prompt,
                     "The question; without it a conversation, or what comes from a pipe");
  app.add_option("--max-tokens", options->max_tokens, "Longest answer; default: what fits")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--temperature", options->temperature, "0: the most likely answer, always")
      ->check(CLI::Range(0.0f, 100.0f))
      ->capture_default_str();
  app.add_option("--seed", options->seed, "The same seed draws the same answer; default: random");
  app.add_flag("--raw", options->raw, "Continue the text as it is, without the chat template");
  app.add_flag("--verbose", options->verbose, "Tell the speed, and what the ranks say");
  app.footer(
      "Examples:\n"
      "  hearth run ember \"What is the capital of France?\"\n"
      "  hearth run ember                                    a conversation\n"
      "  hearth run ./Qwen3-0.6B-Q8_0.gguf < question.txt\n"
      "  hearth run ember \"Tell me a story.\" --temperature 1 --seed 7\n"
      "  hearth run ember \"Hello\" --ranks pipeline=2         split over two processes");
  return [options, prompt] {
    options->has_prompt = prompt->count() > 0;
    return run(*options);
  };
}

}  // namespace hearth::cli
