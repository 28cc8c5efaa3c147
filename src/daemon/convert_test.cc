#include "daemon/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hearth::daemon {
namespace {

using runtime::GenerateEvent;
using runtime::GenerateRequest;

GenerateRequest over_the_wire(const GenerateRequest& request) {
  proto::GenerateRequest received;
  EXPECT_TRUE(received.ParseFromString(to_proto(request, InstanceId("i1")).SerializeAsString()));
  EXPECT_EQ(received.instance_id(), "i1");
  return from_proto(received).value();
}

GenerateEvent over_the_wire(const GenerateEvent& event) {
  proto::GenerateEvent received;
  EXPECT_TRUE(received.ParseFromString(to_proto(event).SerializeAsString()));
  return from_proto(received).value();
}

TEST(ConvertTest, RequestsArriveWhole) {
  const GenerateRequest sent{.id = RequestId("r1"),
                             .prompt = runtime::ChatPrompt{"[1]"},
                             .sampling = {.temperature = 0.5f,
                                          .top_k = 3,
                                          .top_p = 0.25f,
                                          .min_p = 0.125f,
                                          .repetition_penalty = 1.5f,
                                          .presence_penalty = -1.0f,
                                          .frequency_penalty = 2.0f,
                                          .seed = 0xffffffffffffffff},
                             .max_tokens = 17,
                             .stop = {"a", "ß"},
                             .ignore_eos = true};
  const GenerateRequest got = over_the_wire(sent);
  EXPECT_EQ(got.id, sent.id);
  EXPECT_EQ(std::get<runtime::ChatPrompt>(got.prompt).messages_json, "[1]");
  EXPECT_EQ(got.sampling.temperature, 0.5f);
  EXPECT_EQ(got.sampling.top_k, 3);
  EXPECT_EQ(got.sampling.top_p, 0.25f);
  EXPECT_EQ(got.sampling.min_p, 0.125f);
  EXPECT_EQ(got.sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(got.sampling.presence_penalty, -1.0f);
  EXPECT_EQ(got.sampling.frequency_penalty, 2.0f);
  EXPECT_EQ(got.sampling.seed, 0xffffffffffffffff);
  EXPECT_EQ(got.max_tokens, 17);
  EXPECT_EQ(got.stop, sent.stop);
  EXPECT_TRUE(got.ignore_eos);

  GenerateRequest text{.prompt = runtime::TextPrompt{"once"}};
  EXPECT_EQ(std::get<runtime::TextPrompt>(over_the_wire(text).prompt).text, "once");
  GenerateRequest ids{.prompt = runtime::TokenPrompt{{5, 6}}};
  EXPECT_EQ(std::get<runtime::TokenPrompt>(over_the_wire(ids).prompt).ids,
            (std::vector<int32_t>{5, 6}));
}

TEST(ConvertTest, EventsArriveWhole) {
  EXPECT_EQ(
      std::get<runtime::Started>(over_the_wire(runtime::Started{.prompt_tokens = 4})).prompt_tokens,
      4);
  const auto delta =
      std::get<runtime::Delta>(over_the_wire(runtime::Delta{.text = "né", .ids = {1, 2}}));
  EXPECT_EQ(delta.text, "né");
  EXPECT_EQ(delta.ids, (std::vector<int32_t>{1, 2}));
  const auto finished = std::get<runtime::Finished>(over_the_wire(runtime::Finished{
      .reason = runtime::FinishReason::kLength,
      .usage = {.prompt_tokens = 1, .completion_tokens = 2, .cached_tokens = 3}}));
  EXPECT_EQ(finished.reason, runtime::FinishReason::kLength);
  EXPECT_EQ(finished.usage.prompt_tokens, 1);
  EXPECT_EQ(finished.usage.completion_tokens, 2);
  EXPECT_EQ(finished.usage.cached_tokens, 3);
  const auto error = std::get<Error>(over_the_wire(Error(Code::kResourceExhausted, "full")));
  EXPECT_EQ(error.code(), Code::kResourceExhausted);
  EXPECT_EQ(error.message(), "full");
}

TEST(ConvertTest, WhatIsMissingOrUnknownIsRefused) {
  EXPECT_EQ(from_proto(proto::GenerateRequest()).error().code(), Code::kInvalidArgument);
  proto::GenerateRequest no_sampling;
  no_sampling.set_text("hi");
  EXPECT_THAT(from_proto(no_sampling).error().message(), testing::HasSubstr("sampling"));
  EXPECT_EQ(from_proto(proto::GenerateEvent()).error().code(), Code::kCorrupt);
  proto::Failure failure;
  for (const int32_t code : {-1, 11, 1000}) {
    failure.set_code(code);
    EXPECT_EQ(from_proto(failure).code(), Code::kInternal);
  }
}

}  // namespace
}  // namespace hearth::daemon
