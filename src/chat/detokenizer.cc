#include "chat/detokenizer.h"

#include "chat/utf8.h"
#include "engine/tokenizer.h"

namespace hearth::chat {

std::string StreamDetokenizer::push(int32_t id) {
  if (id < 0 || id >= tokenizer_.size() || tokenizer_.is_special(id)) return {};
  held_ += begun_ ? tokenizer_.bytes(id, /*skip_special=*/true)
                  : tokenizer_.first_bytes(id, /*skip_special=*/true);
  begun_ = true;
  std::string text;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Utf8Step step = read_utf8(rest);
    if (step.kind == Utf8::kUnfinished) break;
    text += step.kind == Utf8::kCharacter ? rest.substr(0, step.length) : kReplacementCharacter;
    rest.remove_prefix(step.length);
  }
  held_.erase(0, held_.size() - rest.size());
  return text;
}

std::string StreamDetokenizer::finish() {
  std::string text = to_valid_utf8(held_);
  held_.clear();
  return text;
}

}  // namespace hearth::chat
