#include "chat/template.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "chat/jinja/interpreter.h"
#include "chat/jinja/parser.h"
#include "chat/utf8.h"

namespace hearth::chat {
namespace {

// A tree takes a hundred times the room of its source; published templates have up to 20 KB.
constexpr size_t kSourceBytesMax = 256 * 1024;

class JinjaTemplate final : public ChatTemplate {
 public:
  explicit JinjaTemplate(jinja::Block block) : block_(std::move(block)) {}

  Result<std::string> render(const nlohmann::ordered_json& variables) const override {
    if (!variables.is_object()) {
      return Error(Code::kInvalidArgument, "the chat template's variables must be an object");
    }
    return jinja::render(block_, variables);
  }

 private:
  jinja::Block block_;
};

}  // namespace

Result<std::unique_ptr<ChatTemplate>> ChatTemplate::compile(std::string_view source) {
  if (source.size() > kSourceBytesMax) {
    return Error(Code::kUnsupported, "a chat template of " + std::to_string(source.size()) +
                                         " bytes, expected at most " +
                                         std::to_string(kSourceBytesMax));
  }
  HEARTH_TRY(jinja::Block block, jinja::parse(to_valid_utf8(source)));
  return std::unique_ptr<ChatTemplate>(std::make_unique<JinjaTemplate>(std::move(block)));
}

std::string_view default_template() {
  return "{% for message in messages %}"
         "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
         "{% endfor %}"
         "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
}

}  // namespace hearth::chat
