// For tests: how much memory something takes at its peak.
#pragma once

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>

namespace hearth {

// Sanitizers keep shadows and freed memory: what is allowed is multiplied by this.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int64_t kMemoryFactor = 8;
#else
inline constexpr int64_t kMemoryFactor = 1;
#endif

struct PeakMemory {
  int64_t bytes = 0;   // by which the process grew, at its peak; pages of mapped files included
  std::string result;  // of the function
};

// Runs `function` in a process of its own, whose peak is its own.
inline PeakMemory peak_memory(const std::function<std::string()>& function) {
  const auto resident_peak = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return int64_t{usage.ru_maxrss} * 1024;
  };
  int ends[2];
  EXPECT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const int64_t before = resident_peak();
    const std::string result = function();
    const std::string report = std::to_string(resident_peak() - before) + " " + result;
    const bool written = ::write(ends[1], report.data(), report.size()) > 0;
    ::_exit(written ? 0 : 1);
  }
  ::close(ends[1]);
  std::string report;
  char buffer[4096];
  for (ssize_t count; (count = ::read(ends[0], buffer, sizeof(buffer))) > 0;) {
    report.append(buffer, static_cast<size_t>(count));
  }
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "the process died";
  const size_t space = std::min(report.find(' '), report.size());
  return {std::atoll(report.substr(0, space).c_str()), report.substr(space)};
}

}  // namespace hearth
