// hearth serve: a device in the foreground.
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <thread>

#include "base/config.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/local_model.h"
#include "cli/settings.h"
#include "daemon/banner.h"
#include "daemon/daemon.h"

namespace hearth::cli {
namespace {

// A stop that takes longer (a runner in an unkillable system call) is cut short.
constexpr std::chrono::milliseconds kStopTimeMax(1'800);

struct Options {
  daemon::DaemonOptions daemon;
  bool no_discovery = false;
  bool log_json = false;
  bool verbose = false;
};

// The signals that ask the program to end, as a file descriptor. SIGHUP (the terminal closed)
// counts, unless it was ignored on purpose (nohup).
class StopSignals {
 public:
  StopSignals() {
    std::signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    struct sigaction hangup {};
    if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
      sigaddset(&set_, SIGHUP);
    }
    // Before any thread starts, so that every thread inherits it.
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    file_ = signalfd(-1, &set_, SFD_CLOEXEC | SFD_NONBLOCK);
  }
  ~StopSignals() { close(file_); }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  int file() const { return file_; }

  // From now on a signal ends the process at once.
  void let_through() {
    signalfd_siginfo taken;
    while (read(file_, &taken, sizeof(taken)) > 0) {
    }
    pthread_sigmask(SIG_UNBLOCK, &set_, nullptr);
  }

 private:
  sigset_t set_;
  int file_ = -1;
};

// Tells what happens until a signal asks to stop.
void narrate(const daemon::Daemon& daemon, int changed_file, int stop_file) {
  daemon::Narrator narrator;
  while (true) {
    for (const std::string& line : narrator.tell(daemon.view()))
      std::printf("  %s\n", line.c_str());
    std::fflush(stdout);
    pollfd files[] = {{.fd = stop_file, .events = POLLIN}, {.fd = changed_file, .events = POLLIN}};
    if (poll(files, 2, -1) < 0) continue;
    if (files[0].revents != 0) return;
    eventfd_t changes = 0;
    eventfd_read(changed_file, &changes);
  }
}

Result<void> serve(Options options) {
  log::configure({.level = options.verbose ? log::Level::kDebug : log::Level::kWarn,
                  .json = options.log_json});
  StopSignals signals;
  const daemon::DaemonOptions& wanted = options.daemon;
  HEARTH_TRY(std::unique_ptr<daemon::Daemon> daemon, daemon::Daemon::start(wanted));
  std::printf("%s", daemon::banner({.version = wanted.version,
                                    .listen = wanted.listen,
                                    .port = daemon->port(),
                                    .discovery = daemon->discovery_status()},
                                   daemon->view())
                        .c_str());
  const int changed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (changed < 0) return Error(Code::kInternal, "cannot make an eventfd");
  std::shared_ptr<void> watch = daemon->watch([changed] { eventfd_write(changed, 1); });
  narrate(*daemon, changed, signals.file());

  signals.let_through();
  std::printf("\n  Stopping; once more to stop at once.\n");
  std::fflush(stdout);
  std::thread([] {
    std::this_thread::sleep_for(kStopTimeMax);
    log::warn("stopping took too long and was cut short");
    _exit(0);
  }).detach();
  watch = nullptr;
  daemon = nullptr;
  close(changed);
  return {};
}

}  // namespace

Action declare_serve(CLI::App& app) {
  const auto options = std::make_shared<Options>();
  daemon::DaemonOptions& daemon = options->daemon;
  const CLI::Range port_range(0, 65535);
  CLI::Option* port = app.add_option("--port", daemon.port, "Port of the API and the dashboard")
                          ->check(port_range)
                          ->capture_default_str();
  app.add_option("--listen", daemon.listen,
                 "Address of the API and the dashboard; 0.0.0.0: every one")
      ->capture_default_str();
  CLI::Option* device_port =
      app.add_option("--device-port", daemon.device_port,
                     "Port for other devices; default 52416, or the one after --port")
          ->check(port_range);
  app.add_option("--device-listen", daemon.device_listen, "Address for other devices")
      ->capture_default_str();
  app.add_option("--data-dir", daemon.data_dir, "Identity, state and models of this device")
      ->default_str(directories().data);
  app.add_option("--cluster", daemon.cluster, "Devices of the same cluster name join each other")
      ->capture_default_str();
  app.add_option("--name", daemon.name, "Name of this device; default: the host's");
  app.add_option("--peer", daemon.peers, "HOST:PORT of a device that discovery cannot find")
      ->allow_extra_args(false);
  app.add_option("--model", daemon.models, "Model to run unless the cluster already does")
      ->allow_extra_args(false);
  app.add_option("--threads", daemon.threads, "Threads per runner; default: one per core")
      ->check(CLI::Range(0, 1024));
  add_quantize_option(app, &daemon.quantize);
  add_kv_option(app, &daemon.kv);
  app.add_option("--transport", daemon.transport, "Between devices at work on one model")
      ->check(CLI::IsMember({"auto", "ucx", "tcp", "shm"}))
      ->capture_default_str();
  app.add_flag("--no-discovery", options->no_discovery, "Find devices by --peer alone");
  app.add_flag("--log-json", options->log_json, "Log as JSON lines");
  app.add_flag("--verbose", options->verbose, "Log what the device does");
  app.footer("Settings also come from HEARTH_PORT, ... and from config.toml (port = 52415) in\n" +
             directories().config +
             ".\n\nExamples:\n"
             "  hearth serve\n"
             "  hearth serve --listen 0.0.0.0 --cluster home\n"
             "  hearth serve --port 52425 --data-dir /tmp/second --peer 127.0.0.1:52416");
  return [&app, options, port, device_port]() -> Result<void> {
    HEARTH_RETURN_IF_ERROR(apply_settings(app));
    daemon::DaemonOptions& daemon = options->daemon;
    if (device_port->count() == 0 && port->count() > 0) {
      daemon.device_port = daemon.port == 0 ? 0 : daemon.port + 1;
    }
    if (daemon.data_dir.empty()) daemon.data_dir = directories().data;
    daemon.discovery = !options->no_discovery;
    daemon.version = HEARTH_VERSION;
    return serve(*options);
  };
}

}  // namespace hearth::cli
