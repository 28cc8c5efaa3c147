// One question asked of a generator, its answer printed while it comes.
#pragma once

#include <atomic>
#include <string>

#include "base/result.h"
#include "runtime/generator.h"

namespace hearth::cli {

struct Answered {
  std::string text;
  runtime::Usage usage;
  double first_token_seconds = 0;
  double seconds = 0;        // until the last token
  bool interrupted = false;  // by the user; usage is not known then

  // "35 tokens, 812 tokens/s, first after 0.02 s".
  std::string summary() const;
};

// Prints to stdout, and a newline at the end. Stops soon after `interrupted` turns true.
Result<Answered> print_answer(runtime::Generator& generator, runtime::GenerateRequest request,
                              const std::atomic<bool>& interrupted);

}  // namespace hearth::cli
