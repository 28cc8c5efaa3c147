// Regular expressions of tokenizers, by PCRE2 (JIT where the machine has it). They are written for
// Oniguruma (tokenizer.json) in its Ruby syntax with Unicode properties:
// https://github.com/kkos/oniguruma/blob/master/doc/RE.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

struct pcre2_real_code_8;

namespace hearth::engine {

struct TextRange {
  size_t begin = 0;
  size_t end = 0;
};

// Immutable and thread-safe; copies share the compiled code.
class Pattern {
 public:
  // kUnsupported, naming `where` and the construct, for a pattern PCRE2 refuses or reads
  // differently.
  static Result<Pattern> compile(std::string_view regex, const std::string& where);
  static Result<Pattern> literal(std::string_view text, const std::string& where);

  struct Search {
    std::optional<TextRange> match;
    bool gave_up = false;  // it took more steps or memory than one search may
  };

  // The first match that begins at `from` or later; matches may be empty. REQUIRES: `text` is valid
  // UTF-8, `from` on a character's start.
  Search search(std::string_view text, size_t from) const;
  // The same where giving up means finding nothing.
  std::optional<TextRange> find(std::string_view text, size_t from) const {
    return search(text, from).match;
  }

 private:
  Pattern(std::shared_ptr<const pcre2_real_code_8> code, bool jit)
      : code_(std::move(code)), jit_(jit) {}
  static Result<Pattern> compile_with(std::string_view regex, unsigned options,
                                      const std::string& where);

  std::shared_ptr<const pcre2_real_code_8> code_;
  bool jit_;
};

}  // namespace hearth::engine
