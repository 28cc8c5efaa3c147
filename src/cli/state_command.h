// What `ps` and `nodes` share: a command that asks the daemon for its state and prints a part of
// it.
#pragma once

#include "cli/cluster_state.h"
#include "cli/command.h"

namespace hearth::cli {

using PrintState = void (*)(const ClusterState& state);

// Declares --port and --json; the action prints the state of the daemon on that port.
Action declare_state_command(CLI::App& app, const char* footer, PrintState print_table,
                             PrintState print_json);

}  // namespace hearth::cli
