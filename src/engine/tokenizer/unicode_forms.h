// Unicode normalisation, https://www.unicode.org/reports/tr15, by ICU.
#pragma once

#include <string>
#include <string_view>

namespace hearth::engine {

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };

// REQUIRES: valid UTF-8. Time is O(n log n) for any text.
std::string to_normal_form(NormalForm form, std::string_view text);

}  // namespace hearth::engine
