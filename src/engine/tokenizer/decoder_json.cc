// The decoder and the post_processor of tokenizer.json.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/json_parts.h"
#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

using nlohmann::json;

constexpr size_t kDecoderStepsMax = 16;
constexpr size_t kReplacementBytesMax = 64;
constexpr int64_t kStripMax = 64;

// Steps behind Fuse see the text as a whole. Hearth decodes token by token, which is the same for
// what is done to single characters and to the start of the text.
class DecoderReader {
 public:
  Result<void> read(const JsonObject& object, const std::string& type) {
    if (steps_.size() >= kDecoderStepsMax) {
      return object.wrong("type", fmt::format("at most {} steps", kDecoderStepsMax));
    }
    if (type == "Fuse") {
      whole_ = true;
    } else if (type == "Replace") {
      return read_replace(object);
    } else if (type == "Strip") {
      return read_strip(object);
    } else if (whole_) {
      return unsupported(object, type + " after Fuse or ByteLevel");
    } else if (type == "ByteLevel") {
      whole_ = true;
      steps_.emplace_back(decoding::ByteLevel{});
    } else if (type == "ByteFallback") {
      steps_.emplace_back(decoding::ByteFallback{});
    } else if (type == "Metaspace") {
      return read_metaspace(object);
    } else {
      return unsupported(object, "type " + type);
    }
    return {};
  }

  Decoder finish() { return Decoder(std::move(steps_)); }

 private:
  Result<void> read_replace(const JsonObject& object) {
    HEARTH_TRY(const JsonObject pattern, object.object("pattern"));
    if (!pattern.has("String")) return unsupported(object, "Replace of a pattern");
    decoding::Replace replace;
    HEARTH_TRY(replace.from, pattern.text("String"));
    HEARTH_TRY(replace.to, object.text("content"));
    if (replace.from.empty()) return pattern.wrong("String", "a text that is not empty");
    if (replace.to.size() > kReplacementBytesMax) {
      return object.wrong("content", fmt::format("at most {} bytes", kReplacementBytesMax));
    }
    if (whole_ && replace.from.size() != character_bytes(replace.from)) {
      return unsupported(object, "Replace of several characters after Fuse or ByteLevel");
    }
    steps_.emplace_back(std::move(replace));
    return {};
  }

  Result<void> read_strip(const JsonObject& object) {
    decoding::Strip strip;
    HEARTH_TRY(strip.character, read_character(object, "content"));
    HEARTH_TRY(strip.start, object.integer("start", 0, kStripMax));
    HEARTH_TRY(strip.stop, object.integer("stop", 0, kStripMax));
    if (!whole_) {
      steps_.emplace_back(std::move(strip));
      return {};
    }
    if (strip.start > 1 || strip.stop > 0) {
      return unsupported(object, "Strip of more than one character at the start of the text");
    }
    if (strip.start == 1) steps_.emplace_back(decoding::StripStart{std::move(strip.character)});
    return {};
  }

  Result<void> read_metaspace(const JsonObject& object) {
    decoding::Metaspace metaspace;
    HEARTH_TRY(metaspace.mark, read_character(object, "replacement"));
    HEARTH_TRY(const bool prefix, object.boolean_or("add_prefix_space", true));
    HEARTH_TRY(const std::string scheme,
               object.text_or("prepend_scheme", prefix ? "always" : "never"));
    metaspace.drops_first = scheme != "never";
    steps_.emplace_back(std::move(metaspace));
    return {};
  }

  std::vector<DecoderStep> steps_;
  bool whole_ = false;
};

// The ids of one special token of a template.
Result<std::vector<int32_t>> template_ids(const JsonObject& processor, const JsonObject& piece) {
  HEARTH_TRY(const std::string name, piece.text("id"));
  HEARTH_TRY(const JsonObject tokens, processor.object("special_tokens"));
  HEARTH_TRY(const JsonObject token, tokens.object(name));
  HEARTH_TRY(const json* list, token.array("ids"));
  std::vector<int32_t> ids;
  for (const json& id : *list) {
    if (!id.is_number_integer() || id < 0 || id > Vocabulary::kIdMax) {
      return token.wrong("ids", "token ids");
    }
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

// TemplateProcessing: special tokens before and after the one sequence A.
Result<void> read_template(const JsonObject& processor, TokenizerParts& parts) {
  HEARTH_TRY(const json* pieces, processor.array("single"));
  std::vector<int32_t> prefix;
  std::vector<int32_t> suffix;
  int sequences = 0;
  for (const json& element : *pieces) {
    HEARTH_TRY(const JsonObject piece, JsonObject::of(element, processor.where() + ": single"));
    if (piece.has("Sequence")) {
      ++sequences;
      continue;
    }
    HEARTH_TRY(const JsonObject special, piece.object("SpecialToken"));
    HEARTH_TRY(const std::vector<int32_t> ids, template_ids(processor, special));
    std::vector<int32_t>& side = sequences == 0 ? prefix : suffix;
    side.insert(side.end(), ids.begin(), ids.end());
  }
  if (sequences != 1) return processor.wrong("single", "exactly one Sequence");
  parts.prefix.insert(parts.prefix.begin(), prefix.begin(), prefix.end());
  parts.suffix.insert(parts.suffix.end(), suffix.begin(), suffix.end());
  return {};
}

// BertProcessing and RobertaProcessing: one token on each side, each written ["</s>", 2].
Result<void> read_pair(const JsonObject& processor, TokenizerParts& parts) {
  const auto id_of = [&](std::string_view key) -> Result<int32_t> {
    HEARTH_TRY(const json* pair, processor.array(key));
    if (pair->size() != 2 || !(*pair)[1].is_number_integer() || (*pair)[1] < 0 ||
        (*pair)[1] > Vocabulary::kIdMax) {
      return processor.wrong(key, "a token and its id");
    }
    return (*pair)[1].get<int32_t>();
  };
  HEARTH_TRY(const int32_t prefix, id_of("cls"));
  HEARTH_TRY(const int32_t suffix, id_of("sep"));
  parts.prefix.insert(parts.prefix.begin(), prefix);
  parts.suffix.push_back(suffix);
  return {};
}

}  // namespace

Result<Decoder> read_decoder(const JsonObject& root) {
  if (!root.has("decoder")) return Decoder({decoding::Spaces{}});
  DecoderReader reader;
  HEARTH_RETURN_IF_ERROR(for_each_component(root, "decoder", "decoders",
                                            [&](const JsonObject& object, const std::string& type) {
                                              return reader.read(object, type);
                                            }));
  return reader.finish();
}

Result<void> read_post_processor(const JsonObject& root, TokenizerParts& parts) {
  return for_each_component(
      root, "post_processor", "processors",
      [&](const JsonObject& processor, const std::string& type) -> Result<void> {
        if (type == "ByteLevel") return {};  // it only moves offsets
        if (type == "TemplateProcessing") return read_template(processor, parts);
        if (type == "BertProcessing" || type == "RobertaProcessing") {
          return read_pair(processor, parts);
        }
        return unsupported(processor, "type " + type);
      });
}

}  // namespace hearth::engine
