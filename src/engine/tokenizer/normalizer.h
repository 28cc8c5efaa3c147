// Unicode normalisation, https://www.unicode.org/reports/tr15, by ICU.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace hearth::engine {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// Immutable, thread-safe.
class Normalizer {
 public:
  // Applies `forms` in order; none leaves text as it is.
  explicit Normalizer(std::vector<NormalForm> forms = {}) : forms_(std::move(forms)) {}

  // REQUIRES: valid UTF-8. Time is O(n log n) for any text.
  std::string normalize(std::string_view text) const;
  bool changes_nothing() const { return forms_.empty(); }

 private:
  std::vector<NormalForm> forms_;
};

}  // namespace hearth::engine
