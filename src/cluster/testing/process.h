// Child processes for tests: their lines of output, signals, and an end when the test ends.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

namespace hearth::cluster {

class ScratchDirectory {
 public:
  ScratchDirectory() {
    path_ = (std::filesystem::temp_directory_path() / "hearth-cluster-XXXXXX").string();
    HEARTH_CHECK(mkdtemp(path_.data()) != nullptr);
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class Process {
 public:
  explicit Process(std::vector<std::string> command) {
    int input[2];
    int output[2];
    HEARTH_CHECK(pipe2(input, O_CLOEXEC) == 0 && pipe2(output, O_CLOEXEC) == 0);
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    pid_ = fork();
    HEARTH_CHECK(pid_ >= 0);
    if (pid_ == 0) {
      dup2(input[0], STDIN_FILENO);
      dup2(output[1], STDOUT_FILENO);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    close(input[0]);
    close(output[1]);
    input_ = input[1];
    reader_ = std::thread([this, file = output[0]] { read(file); });
  }
  ~Process() {
    signal(SIGCONT);
    close(input_);
    // Ends by itself now that its input has; a test that fails must not wait for it.
    for (int i = 0; i < 500 && waitpid(pid_, nullptr, WNOHANG) == 0; ++i) usleep(10'000);
    ::kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    reader_.join();
  }

  void signal(int number) { ::kill(pid_, number); }
  void tell(const std::string& line) {
    HEARTH_CHECK(write(input_, (line + "\n").data(), line.size() + 1) ==
                 static_cast<ssize_t>(line.size() + 1));
  }
  // The newest line that starts with `prefix`, without it; empty when there is none.
  std::string last(const std::string& prefix) {
    std::lock_guard lock(mutex_);
    for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
      if (line->starts_with(prefix)) return line->substr(prefix.size());
    }
    return "";
  }

 private:
  void read(int file) {
    std::string line;
    char byte = 0;
    while (::read(file, &byte, 1) == 1) {
      if (byte != '\n') {
        line += byte;
        continue;
      }
      std::lock_guard lock(mutex_);
      lines_.push_back(std::exchange(line, ""));
    }
    close(file);
  }

  pid_t pid_ = -1;
  int input_ = -1;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::thread reader_;
};

// Waits for a condition. The time is only an upper bound.
template <class Condition>
bool eventually(Condition condition, std::chrono::milliseconds timeout = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

}  // namespace hearth::cluster
