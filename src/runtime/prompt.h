// A request's prompt as token ids: chat messages through the model's template, text through its
// tokenizer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "chat/template.h"
#include "engine/model_files.h"
#include "engine/tokenizer.h"
#include "runtime/generator.h"

namespace hearth::runtime {

// Immutable and thread-safe.
class PromptEncoder {
 public:
  // `tokenizer` must outlive this. A model without a template speaks ChatML; one whose template
  // cannot be compiled refuses chats with that error, and texts still work.
  PromptEncoder(const engine::ModelFiles& files, const engine::Tokenizer& tokenizer);

  // kInvalidArgument for messages that are no list of {"role", "content"}, that the template
  // refuses, for token ids the model does not have, and for an empty prompt.
  Result<std::vector<int32_t>> encode(const GenerateRequest& request) const;

 private:
  Result<std::string> render(const std::string& messages_json) const;

  const engine::Tokenizer& tokenizer_;
  const int vocab_;
  const std::string bos_token_;
  const std::string eos_token_;
  Result<std::unique_ptr<chat::ChatTemplate>> template_;
};

}  // namespace hearth::runtime
