// Stop strings, held back until they can no longer match.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::chat {

// Watches a stream of text for the first occurrence of any of `stops`. Text that might be the
// beginning of a stop string is held back; the stop string and what follows are never emitted. Not
// thread-safe.
class StopStrings {
 public:
  // Empty strings are ignored.
  explicit StopStrings(std::vector<std::string> stops);

  // Text that may be shown now.
  std::string push(std::string_view text);
  // What is still held back at the end of the stream, when no stop string came.
  std::string finish();
  // True once a stop string was seen; push then returns nothing more.
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace hearth::chat
