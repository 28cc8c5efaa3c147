#include "engine/tokenizer/pattern.h"

#include <fmt/format.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <vector>

namespace hearth::engine {
namespace {

constexpr size_t kPatternBytesMax = 65'536;
constexpr size_t kJitStackBytes = 1 << 20;
constexpr uint32_t kMatchLimit = 100'000'000;  // backtracking steps of one search
constexpr int kSetDepthMax = 8;
constexpr uint32_t kHeapKilobytes = 1 << 16;

// White space as Unicode has it. PCRE2's own \s also takes U+180E, which lost the property in
// Unicode 6.3.
constexpr std::string_view kSpaceSet =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";

// Rewrites what PCRE2 reads differently, and refuses what it cannot say.
class Translator {
 public:
  Translator(std::string_view regex, const std::string& where) : regex_(regex), where_(where) {}

  Result<std::string> run() {
    std::string out;
    while (at_ < regex_.size()) {
      if (regex_[at_] == '\\') {
        HEARTH_TRY(const std::string escaped, escape());
        out += escaped;
      } else if (regex_[at_] == '[') {
        HEARTH_TRY(const std::string matcher, set(0));
        out += matcher;
      } else if (regex_[at_] == '}' && next_is('+')) {
        // Ruby repeats a counted repetition with '+'; PCRE2 makes it possessive.
        return unsupported("a repeated repetition");
      } else {
        out += take(1);
      }
    }
    return out;
  }

 private:
  // A set's elements that PCRE2 can list in brackets, and what matches those it cannot.
  struct Elements {
    std::string listed;
    std::vector<std::string> matchers;

    std::string matcher() const {
      const std::string list = listed.empty() ? "(?!)" : "[" + listed + "]";
      if (matchers.empty()) return list;
      std::string either = "(?:";
      for (const std::string& matcher : matchers) either += matcher + "|";
      return either + list + ")";
    }
  };

  bool next_is(char c, size_t ahead = 1) const {
    return at_ + ahead < regex_.size() && regex_[at_ + ahead] == c;
  }
  std::string_view take(size_t count) {
    const std::string_view taken = regex_.substr(at_, count);
    at_ += taken.size();
    return taken;
  }
  Error unsupported(std::string_view what) const {
    return Error(Code::kUnsupported,
                 fmt::format("{}: {} at byte {} of pattern {}", where_, what, at_, regex_));
  }

  Result<std::string> escape() {
    if (next_is('s') || next_is('S')) {
      return fmt::format("[{}{}]", take(2)[1] == 'S' ? "^" : "", kSpaceSet);
    }
    if (next_is('h') || next_is('H')) return unsupported(fmt::format("\\{}", regex_[at_ + 1]));
    return std::string(take(escape_bytes()));
  }

  size_t escape_bytes() const {
    if (!next_is('{', 2) || !(next_is('p') || next_is('P') || next_is('x'))) return 2;
    const size_t end = regex_.find('}', at_);
    return end == std::string_view::npos ? regex_.size() - at_ : end + 1 - at_;
  }

  // A set in brackets, as something that matches one character.
  Result<std::string> set(int depth) {
    if (depth > kSetDepthMax) return unsupported("sets nested too deeply");
    ++at_;
    const bool negated = at_ < regex_.size() && regex_[at_] == '^';
    if (negated) ++at_;
    std::vector<Elements> operands(1);  // of an intersection
    if (at_ < regex_.size() && regex_[at_] == ']') {
      operands.back().listed = take(1);  // a first bracket is an element
    }
    while (at_ < regex_.size() && regex_[at_] != ']') {
      if (regex_[at_] == '&' && next_is('&')) {
        at_ += 2;
        operands.emplace_back();
      } else {
        HEARTH_RETURN_IF_ERROR(element(depth, operands.back()));
      }
    }
    if (at_ == regex_.size()) return unsupported("a set without an end");
    ++at_;
    if (operands.size() == 1 && operands[0].matchers.empty() && !operands[0].listed.empty()) {
      return fmt::format("[{}{}]", negated ? "^" : "", operands[0].listed);
    }
    std::string matcher;
    for (size_t i = 0; i + 1 < operands.size(); ++i) {
      matcher += fmt::format("(?={})", operands[i].matcher());
    }
    matcher += operands.back().matcher();
    return negated ? fmt::format("(?:(?!{})(?s:.))", matcher) : fmt::format("(?:{})", matcher);
  }

  Result<void> element(int depth, Elements& elements) {
    if (regex_[at_] == '\\') {
      if (next_is('s')) {
        elements.listed += kSpaceSet;
        at_ += 2;
      } else if (next_is('S')) {
        HEARTH_TRY(std::string matcher, escape());
        elements.matchers.push_back(std::move(matcher));
      } else {
        HEARTH_TRY(const std::string escaped, escape());
        elements.listed += escaped;
      }
    } else if (regex_[at_] != '[') {
      elements.listed += take(1);
    } else if (next_is(':')) {
      const size_t end = regex_.find(":]", at_);
      if (end == std::string_view::npos) return unsupported("a set without an end");
      elements.listed += take(end + 2 - at_);
    } else {
      HEARTH_TRY(std::string matcher, set(depth + 1));
      elements.matchers.push_back(std::move(matcher));
    }
    return {};
  }

  std::string_view regex_;
  const std::string& where_;
  size_t at_ = 0;
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

  Pattern::Search search(const pcre2_code* code, bool jit, std::string_view text, size_t from) {
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
    if (result < 0) return {.gave_up = result != PCRE2_ERROR_NOMATCH};
    const PCRE2_SIZE* range = pcre2_get_ovector_pointer(data_);
    // A lookahead's \K can put the start past the end, or before `from`.
    if (range[0] < from || range[1] < range[0]) return {};
    return {.match = TextRange{range[0], range[1]}};
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

Pattern::Search Pattern::search(std::string_view text, size_t from) const {
  thread_local Matcher matcher;
  return matcher.search(code_.get(), jit_, text, from);
}

}  // namespace hearth::engine
