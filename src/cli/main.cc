#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/command.h"

namespace hearth::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

// `hearth --port 8080` means `hearth serve --port 8080`, where there is such a command.
std::vector<std::string> with_default_command(std::vector<std::string> arguments) {
  const std::string first = arguments.empty() ? "" : arguments.front();
  const bool about_hearth = first == "-h" || first == "--help" || first == "--version";
  if (about_hearth || (!first.empty() && first.front() != '-')) return arguments;
  arguments.insert(arguments.begin(), "serve");
  return arguments;
}

int run(std::vector<std::string> arguments) {
  CLI::App app(
      "Hearth turns the devices you own into one cluster that runs language models.\n"
      "Without a command it starts this device: hearth = hearth serve.",
      "hearth");
  app.set_version_flag("--version", "hearth " HEARTH_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  hearth                                      start this device\n"
      "  hearth run ember \"What is 2 plus 3?\"        ask once\n"
      "  hearth COMMAND --help                       options and examples of a command");

  std::vector<std::pair<CLI::App*, Action>> actions;
  for (const Command& command : commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    if (command.hidden) sub->group("");
    actions.emplace_back(sub, command.declare(*sub));
  }

  arguments = with_default_command(std::move(arguments));
  const bool known = arguments.front().starts_with('-') ||
                     std::any_of(actions.begin(), actions.end(), [&](const auto& action) {
                       return action.first->get_name() == arguments.front();
                     });
  if (!known) {
    std::fprintf(stderr, "hearth: there is no command '%s'; see hearth --help\n",
                 arguments.front().c_str());
    return kWrongUsage;
  }
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    std::string name = "hearth";
    for (const auto& [sub, action] : actions) {
      if (sub->parsed()) name += " " + sub->get_name();
    }
    std::fprintf(stderr, "%s: %s; see %s --help\n", name.c_str(), error.what(), name.c_str());
    return kWrongUsage;
  }
  for (const auto& [sub, action] : actions) {
    if (!sub->parsed()) continue;
    const Result<void> done = action();
    if (done.ok()) return 0;
    std::fprintf(stderr, "hearth %s: %s\n", sub->get_name().c_str(),
                 done.error().message().c_str());
  }
  return kFailed;
}

}  // namespace
}  // namespace hearth::cli

int main(int argc, char** argv) {
  return hearth::cli::run(std::vector<std::string>(argv + 1, argv + argc));
}
