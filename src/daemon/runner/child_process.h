// A child process and what it says on stderr. Knows nothing of runners.
#pragma once

#include <sys/types.h>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

namespace hearth::daemon {

struct ChildOptions {
  std::vector<std::string> command;  // program (looked for in PATH) and arguments
  // Called for every line of the child's stderr, from the child's own thread.
  std::function<void(std::string_view line)> on_line;
  // Called once, from the same thread, when the process has ended and was reaped: "was killed by
  // signal 9 (Killed)", "ended with status 1: <its last line>".
  std::function<void(const std::string& how)> on_exit;
};

// Destruction kills and reaps. The child is in a process group of its own (a terminal's Ctrl-C does
// not reach it), has no file of ours but its standard ones, and its stdin ends when this process
// does. Thread-safe.
class ChildProcess {
 public:
  // kInternal names the system's error.
  static Result<std::unique_ptr<ChildProcess>> start(ChildOptions options);
  ~ChildProcess();

  pid_t pid() const { return pid_; }
  // SIGKILL; returns once the process is gone. Idempotent. Not from on_line or on_exit.
  void kill();
  // Waits until it is gone, at most so long; false when it still runs.
  bool wait_for_exit(int timeout_ms);
  // How it ended; nothing while it runs.
  std::optional<std::string> ended() const;

 private:
  explicit ChildProcess(ChildOptions options) : options_(std::move(options)) {}
  Result<void> spawn();
  void watch();
  void read_lines();

  const ChildOptions options_;
  pid_t pid_ = -1;
  int stdin_ = -1;   // the writing end: closing it tells the child that we are gone
  int stderr_ = -1;  // the reading end
  std::string last_line_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool spawned_ = false;  // spawn() has returned
  Result<void> spawn_result_;
  std::optional<std::string> ended_;
  bool closing_ = false;  // no callbacks any more
  std::thread thread_;    // spawns and watches: the child's death signal is tied to it
};

}  // namespace hearth::daemon
