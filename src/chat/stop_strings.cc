#include "chat/stop_strings.h"

#include <algorithm>
#include <utility>

namespace hearth::chat {
namespace {

std::vector<size_t> borders_of(const std::string& stop) {
  std::vector<size_t> borders(stop.size(), 0);
  for (size_t i = 1; i < stop.size(); ++i) {
    size_t border = borders[i - 1];
    while (border > 0 && stop[border] != stop[i]) border = borders[border - 1];
    borders[i] = border + (stop[border] == stop[i] ? 1 : 0);
  }
  return borders;
}

}  // namespace

void StopStrings::Watch::advance(char byte) {
  while (matched > 0 && stop[matched] != byte) matched = borders[matched - 1];
  if (stop[matched] == byte) ++matched;
}

StopStrings::StopStrings(const std::vector<std::string>& stops) {
  for (const std::string& stop : stops) {
    if (!stop.empty()) watches_.push_back({.stop = stop, .borders = borders_of(stop)});
  }
}

std::string StopStrings::push(std::string_view text) {
  if (stopped_) return "";
  for (const char byte : text) {
    held_.push_back(byte);
    size_t complete = 0;
    for (Watch& watch : watches_) {
      watch.advance(byte);
      if (watch.matched == watch.stop.size()) complete = std::max(complete, watch.matched);
    }
    if (complete > 0) {
      stopped_ = true;
      held_.resize(held_.size() - complete);
      return std::exchange(held_, "");
    }
  }
  size_t keep = 0;
  for (const Watch& watch : watches_) keep = std::max(keep, watch.matched);
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return shown;
}

std::string StopStrings::finish() { return std::exchange(held_, ""); }

}  // namespace hearth::chat
