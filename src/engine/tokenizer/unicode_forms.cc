#include "engine/tokenizer/unicode_forms.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <vector>

#include "base/result.h"

namespace hearth::engine {
namespace {

// ICU takes lengths as int32_t; text is handed over in parts below this size.
constexpr size_t kPartBytesMax = 1 << 26;
// ICU sorts the combining marks on one character by insertion. Longer runs of marks are sorted
// beforehand.
constexpr int kMarksUnsorted = 64;

const icu::Normalizer2& instance(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = nullptr;
  switch (form) {
    case NormalForm::kNfc:
      normalizer = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::kNfd:
      normalizer = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::kNfkc:
      normalizer = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::kNfkd:
      normalizer = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  HEARTH_CHECK(U_SUCCESS(status) && normalizer != nullptr);  // the data is linked into ICU
  return *normalizer;
}

UChar32 next(std::string_view text, size_t& at) {
  int32_t length = 0;
  UChar32 c = 0;
  const std::string_view head = text.substr(at, 4);
  U8_NEXT_OR_FFFD(head.data(), length, static_cast<int32_t>(head.size()), c);
  at += static_cast<size_t>(length);
  return c;
}

// Appends the decomposition of a run of marks, in canonical order.
void append_sorted(const icu::Normalizer2& decomposer, std::string_view run, std::string& out) {
  std::vector<std::pair<uint8_t, UChar32>> marks;
  icu::UnicodeString decomposition;
  for (size_t at = 0; at < run.size();) {
    const UChar32 c = next(run, at);
    if (!decomposer.getDecomposition(c, decomposition)) decomposition.setTo(c);
    for (int32_t i = 0; i < decomposition.length(); i = decomposition.moveIndex32(i, 1)) {
      const UChar32 mark = decomposition.char32At(i);
      marks.emplace_back(decomposer.getCombiningClass(mark), mark);
    }
  }
  // Marks are reordered only up to the next character of class 0.
  for (auto begin = marks.begin(); begin != marks.end();) {
    auto end = std::find_if(begin, marks.end(), [](const auto& mark) { return mark.first == 0; });
    std::stable_sort(begin, end, [](const auto& a, const auto& b) { return a.first < b.first; });
    begin = end == marks.end() ? end : end + 1;
  }
  for (const auto& [combining_class, mark] : marks) {
    char bytes[4];
    int32_t length = 0;
    U8_APPEND_UNSAFE(bytes, length, mark);
    out.append(bytes, static_cast<size_t>(length));
  }
}

// Equivalent text in which every run of more than kMarksUnsorted marks is in canonical order.
std::string presort(NormalForm form, std::string_view text) {
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const icu::Normalizer2& decomposer = instance(compatible ? NormalForm::kNfkd : NormalForm::kNfd);
  std::string out;
  size_t copied = 0;
  size_t run_begin = 0;
  int run_marks = 0;
  const auto end_run = [&](size_t run_end) {
    if (run_marks > kMarksUnsorted) {
      out.append(text.substr(copied, run_begin - copied));
      append_sorted(decomposer, text.substr(run_begin, run_end - run_begin), out);
      copied = run_end;
    }
    run_marks = 0;
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const bool ascii = static_cast<unsigned char>(text[at]) < 0x80;
    if (ascii ? (++at, true) : decomposer.hasBoundaryBefore(next(text, at))) {
      end_run(begin);
    } else if (run_marks++ == 0) {
      run_begin = begin;
    }
  }
  end_run(text.size());
  out.append(text.substr(copied));
  return out;
}

// The end of a part of `text` at which nothing interacts across the cut.
size_t part_end(const icu::Normalizer2& normalizer, std::string_view text) {
  for (size_t at = std::min(kPartBytesMax, text.size()); at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) continue;
    size_t after = at;
    if (normalizer.hasBoundaryBefore(next(text, after))) return at;
  }
  return text.size();
}

}  // namespace

std::string to_normal_form(NormalForm form, std::string_view text) {
  const bool ascii = std::all_of(text.begin(), text.end(),
                                 [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (ascii) return std::string(text);  // no form changes it
  const icu::Normalizer2& normalizer = instance(form);
  const std::string sorted = presort(form, text);
  std::string_view rest = sorted;
  std::string out;
  while (!rest.empty()) {
    const size_t bytes = part_end(normalizer, rest);
    UErrorCode status = U_ZERO_ERROR;
    std::string part;
    icu::StringByteSink<std::string> sink(&part);
    normalizer.normalizeUTF8(0, icu::StringPiece(rest.data(), static_cast<int32_t>(bytes)), sink,
                             nullptr, status);
    // It fails only for lack of memory or space beyond 2 GiB; the text as it is then is the best
    // answer.
    out.append(U_SUCCESS(status) ? std::string_view(part) : rest.substr(0, bytes));
    rest.remove_prefix(bytes);
  }
  return out;
}

}  // namespace hearth::engine
