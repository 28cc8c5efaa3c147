// One request's tokens becoming text: detokeniser, then stop strings.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "chat/detokenizer.h"
#include "chat/stop_strings.h"
#include "engine/tokenizer.h"
#include "runtime/generator.h"

namespace hearth::runtime {

// Not thread-safe.
class Answer {
 public:
  // `tokenizer` must outlive this.
  Answer(const engine::Tokenizer& tokenizer, std::vector<std::string> stop)
      : detokenizer_(tokenizer), stop_(std::move(stop)) {}

  struct Update {
    Delta delta;
    std::optional<FinishReason> finish;  // nothing follows
  };

  // `finish`: why this was the last token, if it was. A stop string finishes too.
  Update push(int32_t id, std::optional<FinishReason> finish) {
    ++tokens_;
    std::string text = stop_.push(detokenizer_.push(id));
    if (finish && !stop_.stopped()) text += stop_.push(detokenizer_.finish());
    if (stop_.stopped()) {
      finish = FinishReason::kStop;
    } else if (finish) {
      text += stop_.finish();
    }
    return {.delta = {.text = std::move(text), .ids = {id}}, .finish = finish};
  }

  int tokens() const { return tokens_; }

 private:
  chat::StreamDetokenizer detokenizer_;
  chat::StopStrings stop_;
  int tokens_ = 0;
};

}  // namespace hearth::runtime
