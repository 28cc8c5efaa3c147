// The pre_tokenizer of tokenizer.json.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/json_parts.h"
#include "engine/tokenizer/patterns.h"

namespace hearth::engine {
namespace {

constexpr size_t kStepsMax = 64;

// \w of Rust's regular expressions: alphabetic characters, marks, decimal digits, connectors and
// joiners, https://www.unicode.org/reports/tr18/#word. The ranges are letters in circles and
// squares.
constexpr std::string_view kWordSet =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169})"
    R"(\x{1f170}-\x{1f189}\x{200c}\x{200d})";
constexpr std::string_view kPunctuation = R"([\p{P}$+<=>^`|~])";

Result<SplitBehavior> read_behavior(const JsonObject& split, const std::string& fallback) {
  HEARTH_TRY(const std::string behavior, split.text_or("behavior", fallback));
  if (behavior == "Isolated") return SplitBehavior::kIsolated;
  if (behavior == "Removed") return SplitBehavior::kRemoved;
  if (behavior == "Contiguous") return SplitBehavior::kContiguous;
  if (behavior == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (behavior == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  return unsupported(split, "behavior " + behavior);
}

Result<Split> read_split(const JsonObject& object) {
  HEARTH_TRY(const SplitBehavior behavior, read_behavior(object, ""));
  HEARTH_TRY(const bool invert, object.boolean_or("invert", false));
  HEARTH_TRY(const JsonObject pattern, object.object("pattern"));
  if (pattern.has("String")) {
    HEARTH_TRY(const std::string text, pattern.text("String"));
    HEARTH_TRY(Pattern literal, Pattern::literal(text, object.where()));
    return Split{std::move(literal), behavior, invert};
  }
  HEARTH_TRY(const std::string regex, pattern.text("Regex"));
  HEARTH_TRY(Pattern compiled, Pattern::compile(regex, object.where()));
  return Split{std::move(compiled), behavior, invert};
}

Result<Metaspace> read_metaspace(const JsonObject& object) {
  Metaspace metaspace;
  HEARTH_TRY(metaspace.mark, read_character(object, "replacement"));
  HEARTH_TRY(metaspace.split, object.boolean_or("split", true));
  // Files from before prepend_scheme have add_prefix_space.
  HEARTH_TRY(const bool prefix, object.boolean_or("add_prefix_space", true));
  HEARTH_TRY(const std::string scheme,
             object.text_or("prepend_scheme", prefix ? "always" : "never"));
  if (scheme != "always" && scheme != "first" && scheme != "never") {
    return unsupported(object, "prepend_scheme " + scheme);
  }
  if (!prefix && scheme != "never") {
    return object.wrong("prepend_scheme", "never, as add_prefix_space is false");
  }
  metaspace.prepend = scheme == "always"  ? PrependScheme::kAlways
                      : scheme == "first" ? PrependScheme::kFirst
                                          : PrependScheme::kNever;
  return metaspace;
}

class Reader {
 public:
  Result<void> read(const JsonObject& object, const std::string& type) {
    if (read_.byte_level) return unsupported(object, type + " after ByteLevel");
    if (steps_.size() >= kStepsMax) {
      return object.wrong("type", fmt::format("at most {} steps", kStepsMax));
    }
    if (type == "Split") {
      HEARTH_TRY(Split split, read_split(object));
      steps_.emplace_back(std::move(split));
    } else if (type == "Metaspace") {
      HEARTH_TRY(Metaspace metaspace, read_metaspace(object));
      steps_.emplace_back(std::move(metaspace));
    } else if (type == "ByteLevel") {
      return read_byte_level(object);
    } else if (type == "Digits") {
      HEARTH_TRY(const bool individual, object.boolean_or("individual_digits", false));
      return add(object, R"(\p{N})",
                 individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
    } else if (type == "Punctuation") {
      HEARTH_TRY(const SplitBehavior behavior, read_behavior(object, "Isolated"));
      return add(object, kPunctuation, behavior);
    } else if (type == "Whitespace") {
      return add(object, fmt::format(R"([{0}]+|[^{0}\s]+)", kWordSet), SplitBehavior::kRemoved,
                 /*invert=*/true);
    } else if (type == "WhitespaceSplit") {
      return add(object, R"(\s)", SplitBehavior::kRemoved);
    } else if (type == "BertPreTokenizer") {
      HEARTH_RETURN_IF_ERROR(add(object, R"(\s)", SplitBehavior::kRemoved));
      return add(object, kPunctuation, SplitBehavior::kIsolated);
    } else if (type == "CharDelimiterSplit") {
      HEARTH_TRY(const std::string delimiter, read_character(object, "delimiter"));
      HEARTH_TRY(Pattern literal, Pattern::literal(delimiter, object.where()));
      steps_.emplace_back(Split{std::move(literal), SplitBehavior::kRemoved});
    } else {
      return unsupported(object, "type " + type);
    }
    return {};
  }

  PreTokenizerOfFile finish() {
    read_.pre_tokenizer = PreTokenizer(std::move(steps_));
    return std::move(read_);
  }

 private:
  Result<void> add(const JsonObject& object, std::string_view regex, SplitBehavior behavior,
                   bool invert = false) {
    HEARTH_TRY(Pattern pattern, Pattern::compile(regex, object.where()));
    steps_.emplace_back(Split{std::move(pattern), behavior, invert});
    return {};
  }

  Result<void> read_byte_level(const JsonObject& object) {
    read_.byte_level = true;
    HEARTH_TRY(const bool prefix, object.boolean_or("add_prefix_space", true));
    if (prefix) steps_.emplace_back(PrefixSpace{});
    HEARTH_TRY(const bool use_regex, object.boolean_or("use_regex", true));
    return use_regex ? add(object, patterns::kGpt2, SplitBehavior::kIsolated) : Result<void>();
  }

  PreTokenizerOfFile read_;
  std::vector<PreTokenizerStep> steps_;
};

}  // namespace

Result<PreTokenizerOfFile> read_pre_tokenizer(const JsonObject& root) {
  Reader reader;
  HEARTH_RETURN_IF_ERROR(for_each_component(root, "pre_tokenizer", "pretokenizers",
                                            [&](const JsonObject& object, const std::string& type) {
                                              return reader.read(object, type);
                                            }));
  return reader.finish();
}

}  // namespace hearth::engine
