// Asking an instance for tokens. The one interface between those who want answers (HTTP adapters,
// the command line) and those who compute them (an instance in this process, a runner behind gRPC,
// another device).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "engine/sampler.h"

namespace hearth::runtime {

// What to continue: one of a conversation, a text, or token ids.
struct ChatPrompt {
  // JSON array of OpenAI messages ({"role","content"}); rendered with the model's chat template by
  // the head.
  std::string messages_json;
};
struct TextPrompt {
  std::string text;
};
struct TokenPrompt {
  std::vector<int32_t> ids;
};

struct GenerateRequest {
  RequestId id;
  std::variant<ChatPrompt, TextPrompt, TokenPrompt> prompt;
  engine::SamplingParams sampling;
  int max_tokens = 0;             // 0: as many as the context has room for
  std::vector<std::string> stop;  // never part of the answer
  bool ignore_eos = false;        // for benchmarks
};

struct Usage {
  int prompt_tokens = 0;
  int completion_tokens = 0;
  int cached_tokens = 0;  // of the prompt, not computed again
};

enum class FinishReason { kStop, kLength };

// The prompt was accepted and its length is known; always the first event of an accepted request.
struct Started {
  int prompt_tokens = 0;
};
// New text (valid UTF-8, possibly empty) and the tokens it came from.
struct Delta {
  std::string text;
  std::vector<int32_t> ids;
};
struct Finished {
  FinishReason reason = FinishReason::kStop;
  Usage usage;
};
using GenerateEvent = std::variant<Started, Delta, Finished, Error>;

// Whether `error` refuses a prompt that leaves no room for an answer, wherever it comes from:
// instances say "prompt of N tokens is longer than ...'s context of M".
inline bool is_prompt_too_long(const Error& error) {
  return error.code() == Code::kInvalidArgument &&
         error.message().find("prompt of ") != std::string::npos &&
         error.message().find("'s context of ") != std::string::npos;
}

// Called from the generator's thread, one event at a time, in order; the last is Finished or Error,
// and nothing follows. Must not block for long and must not destroy its own Generation.
using EventHandler = std::function<void(GenerateEvent)>;

// A request at work. Destroying it cancels: its sequence is freed within one step and the handler
// is not called once the destructor has returned.
class Generation {
 public:
  virtual ~Generation() = default;
};

// Thread-safe.
class Generator {
 public:
  virtual ~Generator() = default;

  // Never blocks on computation. Refusals (prompt too long, unknown template variable, queue full)
  // arrive as an Error event: kInvalidArgument for the request's own faults, kResourceExhausted for
  // a full queue, kUnavailable when the instance is gone.
  virtual std::unique_ptr<Generation> generate(GenerateRequest request, EventHandler handler) = 0;
};

}  // namespace hearth::runtime
