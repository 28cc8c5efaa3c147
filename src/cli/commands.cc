#include "cli/command.h"

namespace hearth::cli {

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"serve", "Start this device", declare_serve},
      {"run", "Ask a model a question, or chat with it", declare_run},
      {"ps", "List the running models and where they run", declare_ps},
      {"nodes", "List the devices of the cluster", declare_nodes},
      {"plan", "Show how a model would be cut over the devices, and how fast that is",
       declare_plan},
      {"doctor", "Show how this device reaches the others, and what stands in the way",
       declare_doctor},
      {"inspect", "Show what a model is, what it needs and how it can be cut", declare_inspect},
      {"bench", "Measure a model's speed on this machine", declare_bench},
      {"logits", "Write a model's logits for given tokens to a file", declare_logits},
      {"tokenize", "Turn text into a model's token ids", declare_tokenize},
      {"detokenize", "Turn token ids into text", declare_detokenize},
      {"runner", "One rank of an instance", declare_runner, /*hidden=*/true},
  };
  return all;
}

}  // namespace hearth::cli
