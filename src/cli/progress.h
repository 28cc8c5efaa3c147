// A progress bar on stderr, for people: nothing is drawn when stderr is no terminal, or when the
// work is done at once.
#pragma once

#include <chrono>
#include <string>

namespace hearth::cli {

// Not thread-safe. Wipes itself when destroyed.
class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(int done, int total);

 private:
  const std::string label_;
  const bool enabled_;
  const std::chrono::steady_clock::time_point started_;
  bool drawn_ = false;
};

}  // namespace hearth::cli
