#include "engine/tokenizer/charsmap.h"

#include <fmt/format.h>
#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/utext.h>

#include <memory>

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

constexpr size_t kGraphemeBytesMax = 5;
// ICU takes text in parts: a grapheme that is longer is cut, which changes nothing for those that
// are looked up whole.
constexpr size_t kPartBytes = 1 << 20;

// A unit of the array: bits 0-7 label, bit 8 whether a string ends here, bits 9-30 where the
// children are, or, in the unit of a string's value, bits 0-30 the value and bit 31 set.
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & (1u << 31 | 0xff); }
bool has_value(uint32_t unit) { return (unit >> 8 & 1) != 0; }
uint32_t value_of(uint32_t unit) { return unit & ~(1u << 31); }

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

// The characters of one thread; ICU's iterators are expensive to make.
icu::BreakIterator* grapheme_iterator() {
  thread_local const std::unique_ptr<icu::BreakIterator> iterator = [] {
    UErrorCode status = U_ZERO_ERROR;
    std::unique_ptr<icu::BreakIterator> made(
        icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
    return U_SUCCESS(status) ? std::move(made) : nullptr;
  }();
  return iterator.get();
}

bool is_ascii(char c) { return static_cast<uint8_t>(c) < 0x80; }

}  // namespace

Result<Charsmap> Charsmap::parse(std::string_view blob, CharsmapLookup lookup,
                                 const std::string& where) {
  Charsmap map;
  map.lookup_ = lookup;
  if (blob.empty()) return map;
  const auto wrong = [&](std::string_view what) {
    return Error(Code::kCorrupt, fmt::format("{}: {}", where, what));
  };
  if (blob.size() < 4) return wrong("expected at least 4 bytes");
  const size_t array_bytes = little_endian(blob);
  blob.remove_prefix(4);
  if (array_bytes % 4 != 0 || array_bytes > blob.size()) {
    return wrong(fmt::format("an array of {} bytes, expected a multiple of 4 up to {}", array_bytes,
                             blob.size()));
  }
  map.units_.reserve(array_bytes / 4);
  for (size_t at = 0; at < array_bytes; at += 4) {
    map.units_.push_back(little_endian(blob.substr(at, 4)));
  }
  map.replacements_ = blob.substr(array_bytes);
  if (!is_valid_utf8(map.replacements_)) return wrong("expected replacements in UTF-8");
  size_t length = 0;
  for (const char c : map.replacements_) {
    length = c == '\0' ? 0 : length + 1;
    if (length > kReplacementBytesMax) {
      return wrong(fmt::format("expected replacements of at most {} bytes", kReplacementBytesMax));
    }
  }
  return map;
}

// The longest or the shortest known string that `text` begins with. Whatever the array holds, a
// walk ends with the text, and a unit or replacement outside ends it at once.
std::optional<Charsmap::Match> Charsmap::match(std::string_view text, bool longest) const {
  std::optional<Match> found;
  if (units_.empty()) return found;
  size_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size() && text[i] != '\0'; ++i) {
    const auto c = static_cast<uint8_t>(text[i]);
    node ^= c;
    if (node >= units_.size() || label_of(units_[node]) != c) break;
    const bool ends = has_value(units_[node]);
    node ^= offset_of(units_[node]);
    const bool whole = i + 1 == text.size() || (static_cast<uint8_t>(text[i + 1]) & 0xc0) != 0x80;
    if (!ends || !whole) continue;  // a string that ends within a character is none of ours
    if (node >= units_.size()) break;
    const size_t at = value_of(units_[node]);
    if (at >= replacements_.size() || (at > 0 && replacements_[at - 1] != '\0')) break;
    const std::string_view rest = std::string_view(replacements_).substr(at);
    found = Match{i + 1, rest.substr(0, rest.find('\0'))};
    if (!longest) break;
  }
  return found;
}

std::string Charsmap::normalize(std::string_view text) const {
  if (units_.empty()) return std::string(text);
  return lookup_ == CharsmapLookup::kGraphemes ? by_graphemes(text) : by_longest_match(text);
}

std::string Charsmap::by_longest_match(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::optional<Match> found = match(text, true);
    const size_t bytes = found ? found->bytes : character_bytes(text);
    out += found ? found->replacement : text.substr(0, bytes);
    text.remove_prefix(bytes);
  }
  return out;
}

void Charsmap::append_grapheme(std::string_view grapheme, std::string& out) const {
  if (grapheme.size() <= kGraphemeBytesMax) {
    if (const std::optional<Match> found = match(grapheme, false)) {
      out += found->replacement;
      return;
    }
  }
  while (!grapheme.empty()) {
    const std::string_view character = grapheme.substr(0, character_bytes(grapheme));
    const std::optional<Match> found = match(character, false);
    out += found ? found->replacement : character;
    grapheme.remove_prefix(character.size());
  }
}

std::string Charsmap::by_graphemes(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  icu::BreakIterator* iterator = grapheme_iterator();
  while (!text.empty()) {
    // A character of ASCII before another one is a grapheme, but for CR LF.
    if (is_ascii(text[0]) && (text.size() == 1 || (is_ascii(text[1]) && text[0] != '\r'))) {
      append_grapheme(text.substr(0, 1), out);
      text.remove_prefix(1);
      continue;
    }
    size_t part = std::min(kPartBytes, text.size());
    while (part < text.size() && (static_cast<uint8_t>(text[part]) & 0xc0) == 0x80) --part;
    UErrorCode status = U_ZERO_ERROR;
    UText view = UTEXT_INITIALIZER;
    utext_openUTF8(&view, text.data(), static_cast<int64_t>(part), &status);
    if (iterator != nullptr) iterator->setText(&view, status);
    size_t done = 0;
    if (iterator != nullptr && U_SUCCESS(status)) {
      for (int32_t end = iterator->next(); end != icu::BreakIterator::DONE;
           end = iterator->next()) {
        // The last one may go on behind the part.
        if (static_cast<size_t>(end) == part && part < text.size() && done > 0) break;
        append_grapheme(text.substr(done, static_cast<size_t>(end) - done), out);
        done = static_cast<size_t>(end);
      }
    }
    utext_close(&view);
    if (done == 0) {  // ICU has no data: characters are the best answer
      done = character_bytes(text);
      append_grapheme(text.substr(0, done), out);
    }
    text.remove_prefix(done);
  }
  return out;
}

}  // namespace hearth::engine
