#include "cli/command.h"

namespace hearth::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"run", "Ask a model a question, or chat with it", declare_run},
      {"bench", "Measure a model's speed on this machine", declare_bench},
      {"logits", "Write a model's logits for given tokens to a file", declare_logits},
      {"tokenize", "Turn text into a model's token ids", declare_tokenize},
      {"detokenize", "Turn token ids into text", declare_detokenize},
      {"runner", "One rank of an instance", declare_runner, /*hidden=*/true},
  };
  return all;
}

}  // namespace hearth::cli
