// A chat completion in the making: the generator's events become OpenAI's JSON.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "runtime/generator.h"
#include "serve/api/chat_request.h"
#include "serve/http/message.h"

namespace hearth::serve {

struct ChatSourceOptions {
  std::string version;                   // of Hearth, for system_fingerprint
  std::chrono::milliseconds keep_alive;  // between comments while a stream waits
};

// The answer to `request`: one object, or a stream of chunks if it asks for one. A refusal by the
// generator is an error response; an error after the stream has begun is its last event. Destroying
// the source cancels the generation.
std::unique_ptr<Source> make_chat_source(std::shared_ptr<runtime::Generator> generator,
                                         ChatRequest request, const ChatSourceOptions& options);

}  // namespace hearth::serve
