// The commands of `hearth`. To add one: a file with a declare_ function, a line in commands.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace hearth::cli {

// What a command does once its options are parsed; an error is printed as one line and exits
// with 1.
using Action = std::function<Result<void>()>;

struct Command {
  const char* name;
  const char* summary;
  // Declares options on the subcommand. Wrong values are refused by CLI11 validators, which exit
  // with 2.
  Action (*declare)(CLI::App& app);
  bool hidden = false;  // not for users, absent from --help
};

// Every command, in the order of --help.
const std::vector<Command>& commands();

Action declare_serve(CLI::App& app);
Action declare_run(CLI::App& app);
Action declare_ps(CLI::App& app);
Action declare_nodes(CLI::App& app);
Action declare_doctor(CLI::App& app);
Action declare_plan(CLI::App& app);
Action declare_inspect(CLI::App& app);
Action declare_bench(CLI::App& app);
Action declare_logits(CLI::App& app);
Action declare_tokenize(CLI::App& app);
Action declare_detokenize(CLI::App& app);
Action declare_runner(CLI::App& app);

}  // namespace hearth::cli
