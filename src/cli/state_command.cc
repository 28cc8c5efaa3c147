#include "cli/state_command.h"

#include <memory>

#include "cli/settings.h"

namespace hearth::cli {
namespace {

struct Options {
  int port = 52415;
  bool json = false;
};

}  // namespace

Action declare_state_command(CLI::App& app, const char* footer, PrintState print_table,
                             PrintState print_json) {
  const auto options = std::make_shared<Options>();
  app.add_option("--port", options->port, "Port of the device's API on this machine")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str();
  app.add_flag("--json", options->json, "Print JSON");
  app.footer(footer);
  return [&app, options, print_table, print_json]() -> Result<void> {
    HEARTH_RETURN_IF_ERROR(apply_settings(app));
    HEARTH_TRY(const ClusterState state, read_state(options->port));
    options->json ? print_json(state) : print_table(state);
    return {};
  };
}

}  // namespace hearth::cli
