#include "daemon/runner.h"

#include <memory>

#include "cli/command.h"

namespace hearth::cli {

Action declare_runner(CLI::App& app) {
  auto socket = std::make_shared<std::string>();
  app.add_option("--socket", *socket, "Unix socket to serve")->required();
  return [socket] { return daemon::run_runner(*socket); };
}

}  // namespace hearth::cli
