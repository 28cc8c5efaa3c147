// The normalizer of tokenizer.json.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "engine/tokenizer/json_parts.h"

namespace hearth::engine {
namespace {

constexpr size_t kCharsmapBytesMax = 16 << 20;  // published ones have some 300,000

// RFC 4648 with padding; nothing if it is not that.
std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (text.size() % 4 != 0) return std::nullopt;
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const size_t digit = kDigits.find(c);
    if (digit == std::string_view::npos) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count));
  }
  return bytes;
}

Result<std::string> read_replacement(const JsonObject& object, std::string_view key) {
  HEARTH_TRY(std::string text, object.text(key));
  if (text.size() > Normalizer::kReplacementBytesMax) {
    return object.wrong(key, fmt::format("at most {} bytes", Normalizer::kReplacementBytesMax));
  }
  return text;
}

Result<NormalizerStep> read_replace(const JsonObject& replace) {
  HEARTH_TRY(const JsonObject pattern, replace.object("pattern"));
  HEARTH_TRY(std::string content, read_replacement(replace, "content"));
  if (pattern.has("String")) {
    HEARTH_TRY(std::string from, pattern.text("String"));
    if (from.empty()) return pattern.wrong("String", "a text that is not empty");
    return NormalizerStep(normalizing::ReplaceText{std::move(from), std::move(content)});
  }
  HEARTH_TRY(const std::string regex, pattern.text("Regex"));
  HEARTH_TRY(Pattern from, Pattern::compile(regex, replace.where()));
  return NormalizerStep(normalizing::ReplacePattern{std::move(from), std::move(content)});
}

Result<NormalizerStep> read_precompiled(const JsonObject& precompiled) {
  constexpr std::string_view kKey = "precompiled_charsmap";
  HEARTH_TRY(const std::string text, precompiled.text(kKey));
  const std::optional<std::string> blob =
      text.size() <= kCharsmapBytesMax ? from_base64(text) : std::nullopt;
  if (!blob)
    return precompiled.wrong(kKey, fmt::format("base64 up to {} bytes", kCharsmapBytesMax));
  HEARTH_TRY(Charsmap map, Charsmap::parse(*blob, CharsmapLookup::kGraphemes,
                                           fmt::format("{}: {}", precompiled.where(), kKey)));
  return NormalizerStep(normalizing::Precompiled{std::make_shared<const Charsmap>(std::move(map))});
}

Result<NormalizerStep> read_step(const JsonObject& object, const std::string& type) {
  if (type == "NFC") return NormalizerStep(NormalForm::kNfc);
  if (type == "NFD") return NormalizerStep(NormalForm::kNfd);
  if (type == "NFKC") return NormalizerStep(NormalForm::kNfkc);
  if (type == "NFKD") return NormalizerStep(NormalForm::kNfkd);
  if (type == "Lowercase") return NormalizerStep(normalizing::Lowercase{});
  if (type == "StripAccents") return NormalizerStep(normalizing::StripMarks{});
  if (type == "Nmt") return NormalizerStep(normalizing::Nmt{});
  if (type == "Replace") return read_replace(object);
  if (type == "Precompiled") return read_precompiled(object);
  if (type == "Prepend") {
    HEARTH_TRY(std::string text, read_replacement(object, "prepend"));
    return NormalizerStep(normalizing::Prepend{std::move(text)});
  }
  if (type == "Strip") {
    normalizing::StripSpace strip;
    HEARTH_TRY(strip.left, object.boolean_or("strip_left", true));
    HEARTH_TRY(strip.right, object.boolean_or("strip_right", true));
    return NormalizerStep(strip);
  }
  return unsupported(object, "type " + type);
}

}  // namespace

Result<Normalizer> read_normalizer(const JsonObject& root) {
  std::vector<NormalizerStep> steps;
  HEARTH_RETURN_IF_ERROR(for_each_component(
      root, "normalizer", "normalizers",
      [&](const JsonObject& object, const std::string& type) -> Result<void> {
        HEARTH_TRY(NormalizerStep step, read_step(object, type));
        if (steps.size() == Normalizer::kStepsMax) {
          return object.wrong("type", fmt::format("at most {} steps", Normalizer::kStepsMax));
        }
        steps.push_back(std::move(step));
        return {};
      }));
  return Normalizer(std::move(steps));
}

}  // namespace hearth::engine
