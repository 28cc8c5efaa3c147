#include "runtime/prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/test_model.h"

namespace hearth::runtime {
namespace {

using testing::HasSubstr;

class PromptTest : public testing::Test {
 protected:
  PromptTest()
      : files_(open_files(ember_path())),
        tokenizer_(engine::Tokenizer::load(ember_path()).value()),
        prompts_(*files_, *tokenizer_) {}

  std::string chat_text(const std::string& messages_json) {
    auto ids = prompts_.encode({.prompt = ChatPrompt{messages_json}});
    EXPECT_TRUE(ids.ok()) << ids.error().message();
    return ids.ok() ? tokenizer_->decode(*ids, /*skip_special=*/false) : "";
  }
  std::string refusal(const std::string& messages_json) {
    const auto ids = prompts_.encode({.prompt = ChatPrompt{messages_json}});
    EXPECT_FALSE(ids.ok());
    return ids.ok() ? "" : ids.error().message();
  }

  const std::unique_ptr<engine::ModelFiles> files_;
  const std::unique_ptr<engine::Tokenizer> tokenizer_;
  const PromptEncoder prompts_;
};

TEST_F(PromptTest, RendersAConversationWithTheModelsTemplate) {
  EXPECT_EQ(
      chat_text(R"([{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}])"),
      "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
      "<|im_start|>assistant\n");
}

TEST_F(PromptTest, JoinsTextPartsAndReadsNoContentAsEmpty) {
  const std::string hello = chat_text(R"([{"role":"user","content":"Hello there"}])");
  EXPECT_EQ(chat_text(R"([{"role":"user","content":[{"type":"text","text":"Hello"},
                          {"type":"text","text":" there"}]}])"),
            hello);
  EXPECT_EQ(chat_text(R"([{"role":"assistant","content":null}])"),
            "<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(PromptTest, SaysWhichMessageIsWrong) {
  EXPECT_THAT(refusal("[]"), HasSubstr("at least one message"));
  EXPECT_THAT(refusal("[1]"), HasSubstr("messages[0] is not an object"));
  EXPECT_THAT(refusal(R"([{"role":"user","content":"a"},{"content":"b"}])"),
              HasSubstr("messages[1].role"));
  EXPECT_THAT(refusal(R"([{"role":"user","content":7}])"), HasSubstr("messages[0].content"));
  EXPECT_THAT(refusal(R"([{"role":"user","content":[{"type":"image_url"}]}])"),
              HasSubstr("a part that is not text"));
}

TEST_F(PromptTest, TakesTextAndIdsAsTheyAre) {
  EXPECT_EQ(prompts_.encode({.prompt = TextPrompt{"Hello"}}).value(),
            tokenizer_->encode("Hello", /*add_special=*/true));
  EXPECT_EQ(prompts_.encode({.prompt = TokenPrompt{{1, 2, 3}}}).value(),
            (std::vector<int32_t>{1, 2, 3}));
  EXPECT_FALSE(prompts_.encode({.prompt = TextPrompt{""}}).ok());
}

}  // namespace
}  // namespace hearth::runtime
