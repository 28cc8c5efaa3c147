#include "daemon/runner/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <utility>

extern char** environ;

namespace hearth::daemon {
namespace {

constexpr size_t kLineBytesMax = 4096;

Error system_error(const std::string& what, int number) {
  return Error(Code::kInternal, what + ": " + std::string(strerror(number)));
}

// Both ends closed on exec.
Result<std::array<int, 2>> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return system_error("pipe", errno);
  return ends;
}

std::string how_it_ended(int status, const std::string& last_line) {
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return "was killed by signal " + std::to_string(number) + " (" + strsignal(number) + ")";
  }
  const std::string text = "ended with status " + std::to_string(WEXITSTATUS(status));
  return last_line.empty() ? text : text + ": " + last_line;
}

// Owns what posix_spawn wants to be told.
class SpawnPlan {
 public:
  SpawnPlan(int stdin_end, int stderr_end) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_adddup2(&actions_, stdin_end, STDIN_FILENO);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, stderr_end, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);

    posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setpgroup(&attributes_, 0);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  Result<pid_t> run(const std::vector<std::string>& command) const {
    std::vector<char*> arguments;
    for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    pid_t pid = -1;
    const int failed =
        posix_spawnp(&pid, arguments[0], &actions_, &attributes_, arguments.data(), environ);
    if (failed != 0) return system_error("starting " + command.front(), failed);
    return pid;
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(ChildOptions options) {
  std::unique_ptr<ChildProcess> child(new ChildProcess(std::move(options)));
  child->thread_ = std::thread([raw = child.get()] { raw->watch(); });
  Result<void> started;
  {
    std::unique_lock lock(child->mutex_);
    child->changed_.wait(lock, [&] { return child->spawned_; });
    started = child->spawn_result_;
  }
  if (!started.ok()) return started.error();
  return child;
}

ChildProcess::~ChildProcess() {
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
  }
  kill();
  thread_.join();
  if (stdin_ >= 0) close(stdin_);
  if (stderr_ >= 0) close(stderr_);
}

Result<void> ChildProcess::spawn() {
  HEARTH_TRY(const auto input, make_pipe());
  auto errors = make_pipe();
  if (!errors.ok()) {
    close(input[0]);
    close(input[1]);
    return errors.error();
  }
  const auto pid = SpawnPlan(input[0], (*errors)[1]).run(options_.command);
  close(input[0]);
  close((*errors)[1]);
  stdin_ = input[1];
  stderr_ = (*errors)[0];
  if (!pid.ok()) return pid.error();
  pid_ = *pid;
  return {};
}

void ChildProcess::watch() {
  Result<void> result = spawn();
  {
    std::lock_guard lock(mutex_);
    spawned_ = true;
    spawn_result_ = result;
    if (!result.ok()) ended_ = result.error().message();
    changed_.notify_all();
  }
  if (!result.ok()) return;
  read_lines();
  siginfo_t info{};
  while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  std::unique_lock lock(mutex_);  // so that nobody signals a pid that is no longer ours
  int status = 0;
  waitpid(pid_, &status, 0);
  ended_ = how_it_ended(status, last_line_);
  changed_.notify_all();
  if (closing_) return;
  lock.unlock();
  if (options_.on_exit) options_.on_exit(*ended_);
}

// Until the child has closed its stderr, which is when it ends.
void ChildProcess::read_lines() {
  std::string line;
  std::array<char, 4096> buffer;
  const auto end_line = [&] {
    if (line.empty()) return;
    last_line_ = line;
    if (options_.on_line) options_.on_line(line);
    line.clear();
  };
  for (;;) {
    const ssize_t size = read(stderr_, buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    for (const char c : std::string_view(buffer.data(), static_cast<size_t>(size))) {
      if (c == '\n' || line.size() >= kLineBytesMax) end_line();
      if (c != '\n') line += c;
    }
  }
  end_line();
}

void ChildProcess::kill() {
  std::unique_lock lock(mutex_);
  if (ended_) return;
  ::kill(pid_, SIGKILL);
  changed_.wait(lock, [this] { return ended_.has_value(); });
}

bool ChildProcess::wait_for_exit(int timeout_ms) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(timeout_ms),
                           [this] { return ended_.has_value(); });
}

std::optional<std::string> ChildProcess::ended() const {
  std::lock_guard lock(mutex_);
  return ended_;
}

}  // namespace hearth::daemon
