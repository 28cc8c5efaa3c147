#include "cli/answer_stream.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>
#include <variant>

#include "base/queue.h"

namespace hearth::cli {
namespace {

using std::chrono::steady_clock;

constexpr size_t kQueuedEventsMax = 4096;
constexpr std::chrono::milliseconds kInterruptPoll(50);

double seconds_since(steady_clock::time_point started) {
  return std::chrono::duration<double>(steady_clock::now() - started).count();
}

}  // namespace

std::string Answered::summary() const {
  const int counted = usage.completion_tokens - 1;  // the first token is the prompt's work
  const double generating = seconds - first_token_seconds;
  const std::string speed =
      counted > 0 && generating > 0 ? fmt::format(", {:.1f} tokens/s", counted / generating) : "";
  return fmt::format("{} tokens{}, first after {:.2f} s (prompt of {})", usage.completion_tokens,
                     speed, first_token_seconds, usage.prompt_tokens);
}

Result<Answered> print_answer(runtime::Generator& generator, runtime::GenerateRequest request,
                              const std::atomic<bool>& interrupted) {
  const auto started = steady_clock::now();
  Answered answered;
  BoundedQueue<runtime::GenerateEvent> events(kQueuedEventsMax);
  auto generation = generator.generate(std::move(request), [&events](runtime::GenerateEvent event) {
    events.push(std::move(event));
  });
  std::optional<Error> failure;
  for (bool done = false; !done;) {
    if (interrupted) {
      answered.interrupted = true;
      break;
    }
    auto event = events.pop_for(kInterruptPoll);
    if (!event) continue;
    if (const auto* delta = std::get_if<runtime::Delta>(&*event)) {
      if (answered.first_token_seconds == 0) answered.first_token_seconds = seconds_since(started);
      answered.text += delta->text;
      std::fwrite(delta->text.data(), 1, delta->text.size(), stdout);
      std::fflush(stdout);
    } else if (const auto* finished = std::get_if<runtime::Finished>(&*event)) {
      answered.usage = finished->usage;
      done = true;
    } else if (const auto* error = std::get_if<Error>(&*event)) {
      failure = *error;
      done = true;
    }
  }
  answered.seconds = seconds_since(started);
  events.close();  // a handler that waits for room goes on
  generation.reset();
  if (!answered.text.empty() && answered.text.back() != '\n') std::fputc('\n', stdout);
  std::fflush(stdout);
  if (failure) return *failure;
  return answered;
}

}  // namespace hearth::cli
