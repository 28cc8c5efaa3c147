#include "engine/tokenizer/pattern.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace hearth::engine {
namespace {

constexpr size_t kPatternBytesMax = 65'536;
constexpr size_t kJitStackBytes = 1 << 20;
constexpr uint32_t kMatchLimit = 100'000'000;  // backtracking steps of one search
constexpr uint32_t kHeapKilobytes = 1 << 18;

// White space as Unicode has it. PCRE2's own \s also takes U+180E, which lost the property in
// Unicode 6.3.
constexpr std::string_view kSpaceSet =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// Rewrites what PCRE2 reads differently, and refuses what it cannot say.
class Translator {
 public:
  Translator(std::string_view regex, const std::string& where) : regex_(regex), where_(where) {}

  Result<std::string> run() {
    while (at_ < regex_.size()) {
      if (regex_[at_] == '\\') {
        HEARTH_RETURN_IF_ERROR(escape());
      } else if (in_class_) {
        HEARTH_RETURN_IF_ERROR(class_character());
      } else {
        HEARTH_RETURN_IF_ERROR(character());
      }
    }
    return std::move(out_);
  }

 private:
  bool next_is(char c, size_t ahead = 1) const {
    return at_ + ahead < regex_.size() && regex_[at_ + ahead] == c;
  }
  void copy(size_t count) {
    out_.append(regex_.substr(at_, count));
    at_ += count;
  }
  Error unsupported(std::string_view what) const {
    return Error(Code::kUnsupported,
                 fmt::format("{}: {} at byte {} of pattern {}", where_, what, at_, regex_));
  }

  Result<void> escape() {
    if (next_is('s')) {
      out_.append(in_class_ ? std::string(kSpaceSet) : fmt::format("[{}]", kSpaceSet));
      at_ += 2;
    } else if (next_is('S') && !in_class_) {
      out_.append(fmt::format("[^{}]", kSpaceSet));
      at_ += 2;
    } else if (next_is('h') || next_is('H') || (next_is('S') && in_class_)) {
      return unsupported(fmt::format("\\{}", regex_[at_ + 1]));
    } else if (next_is('{', 2) && (next_is('p') || next_is('P') || next_is('x'))) {
      const size_t end = regex_.find('}', at_);
      copy(end == std::string_view::npos ? regex_.size() - at_ : end + 1 - at_);
    } else {
      copy(2);
    }
    return {};
  }

  Result<void> class_character() {
    if (regex_[at_] == '[') {
      const size_t end = next_is(':') ? regex_.find(":]", at_) : std::string_view::npos;
      if (end == std::string_view::npos) return unsupported("a set inside a set");
      copy(end + 2 - at_);
      return {};
    }
    if (regex_[at_] == '&' && next_is('&')) return unsupported("an intersection of sets");
    if (regex_[at_] == ']') in_class_ = false;
    copy(1);
    return {};
  }

  Result<void> character() {
    const char c = regex_[at_];
    // Ruby repeats a counted repetition with '+'; PCRE2 makes it possessive.
    if (c == '}' && next_is('+')) return unsupported("a repeated repetition");
    copy(1);
    if (c != '[') return {};
    in_class_ = true;
    if (at_ < regex_.size() && regex_[at_] == '^') copy(1);
    if (at_ < regex_.size() && regex_[at_] == ']') copy(1);  // a first bracket is an element
    return {};
  }

  std::string_view regex_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

// What a thread needs to run patterns, made once per thread.
class Matcher {
 public:
  Matcher()
      : data_(pcre2_match_data_create(1, nullptr)),
        context_(pcre2_match_context_create(nullptr)),
        stack_(pcre2_jit_stack_create(32'768, kJitStackBytes, nullptr)) {
    HEARTH_CHECK(data_ != nullptr && context_ != nullptr);
    pcre2_set_match_limit(context_, kMatchLimit);
    pcre2_set_heap_limit(context_, kHeapKilobytes);
    if (stack_ != nullptr) pcre2_jit_stack_assign(context_, nullptr, stack_);
  }
  Matcher(const Matcher&) = delete;
  Matcher& operator=(const Matcher&) = delete;
  ~Matcher() {
    pcre2_jit_stack_free(stack_);
    pcre2_match_context_free(context_);
    pcre2_match_data_free(data_);
  }

  std::optional<TextRange> find(const pcre2_code* code, bool jit, std::string_view text,
                                size_t from) {
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int result = PCRE2_ERROR_JIT_STACKLIMIT;
    if (jit) {
      result =
          pcre2_jit_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK, data_, context_);
    }
    // The interpreter keeps its state on the heap and so goes further than the JIT's stack.
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) {
      result = pcre2_match(code, subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                           data_, context_);
    }
    if (result < 0) return std::nullopt;
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data_);
    // A lookahead's \K can put the start past the end, or before `from`.
    if (range[0] < from || range[1] < range[0]) return std::nullopt;
    return TextRange{range[0], range[1]};
  }

 private:
  pcre2_match_data* data_;
  pcre2_match_context* context_;
  pcre2_jit_stack* stack_;
};

}  // namespace

Result<Pattern> Pattern::compile(std::string_view regex, const std::string& where) {
  HEARTH_TRY(const std::string translated, Translator(regex, where).run());
  return compile_with(translated, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                      where);
}

Result<Pattern> Pattern::literal(std::string_view text, const std::string& where) {
  return compile_with(text, PCRE2_UTF | PCRE2_LITERAL, where);
}

Result<Pattern> Pattern::compile_with(std::string_view regex, unsigned options,
                                      const std::string& where) {
  if (regex.size() > kPatternBytesMax) {
    return Error(Code::kUnsupported, fmt::format("{}: a pattern of {} bytes", where, regex.size()));
  }
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(regex.data()), regex.size(),
                                   options, &error, &offset, nullptr);
  if (code == nullptr) {
    PCRE2_UCHAR message[256] = {};
    pcre2_get_error_message(error, message, sizeof(message));
    return Error(Code::kUnsupported,
                 fmt::format("{}: {} at byte {} of pattern {}", where,
                             reinterpret_cast<const char*>(message), offset, regex));
  }
  const bool jit = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
  return Pattern(
      std::shared_ptr<const pcre2_code>(
          code, [](const pcre2_code* c) { pcre2_code_free(const_cast<pcre2_code*>(c)); }),
      jit);
}

std::optional<TextRange> Pattern::find(std::string_view text, size_t from) const {
  thread_local Matcher matcher;
  return matcher.find(code_.get(), jit_, text, from);
}

}  // namespace hearth::engine
