#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace hearth::cli {
namespace {

constexpr std::chrono::milliseconds kPatience(300);  // shorter work shows no bar
constexpr int kWidth = 32;

}  // namespace

ProgressBar::ProgressBar(std::string label)
    : label_(std::move(label)),
      enabled_(isatty(STDERR_FILENO) != 0),
      started_(std::chrono::steady_clock::now()) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\033[K", stderr);
}

void ProgressBar::show(int done, int total) {
  if (!enabled_ || total <= 0) return;
  if (std::chrono::steady_clock::now() - started_ < kPatience) return;
  drawn_ = true;
  const int filled = std::clamp(done * kWidth / total, 0, kWidth);
  const std::string bar = std::string(static_cast<size_t>(filled), '#') +
                          std::string(static_cast<size_t>(kWidth - filled), '.');
  std::fprintf(stderr, "\r%s [%s] %d/%d", label_.c_str(), bar.c_str(), done, total);
  std::fflush(stderr);
}

}  // namespace hearth::cli
