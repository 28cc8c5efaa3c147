// Settings in layers for a command: what no flag gave comes from HEARTH_* or from config.toml
// (base/config.h).
#pragma once

#include <CLI/CLI.hpp>

#include "base/result.h"

namespace hearth::cli {

// Fills the options of `app` that no flag gave; values pass the same checks as flags. Call it first
// in the command's action. kInvalidArgument names the variable, or the file and key.
Result<void> apply_settings(CLI::App& app);

}  // namespace hearth::cli
