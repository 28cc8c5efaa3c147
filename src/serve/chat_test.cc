// POST /v1/chat/completions over real sockets.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "serve/server_testing.h"

namespace hearth::serve {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kChat[] = "/v1/chat/completions";

json chat_body(const json& more = json::object()) {
  json body = {{"model", "ember"}, {"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
  body.update(more);
  return body;
}

// Answers every request with `pieces`.
ScriptedGenerator::Script says(std::vector<std::string> pieces) {
  return [pieces](const runtime::GenerateRequest&, const runtime::EventHandler& handler) {
    handler(runtime::Started{.prompt_tokens = 9});
    for (const std::string& piece : pieces) handler(runtime::Delta{.text = piece, .ids = {1}});
    handler(runtime::Finished{.reason = runtime::FinishReason::kStop,
                              .usage = {.prompt_tokens = 9,
                                        .completion_tokens = static_cast<int>(pieces.size()),
                                        .cached_tokens = 4}});
  };
}

class ChatTest : public testing::Test {
 protected:
  void start(ScriptedGenerator::Script script = nullptr, const ServerOptions& options = {}) {
    backend_.scripted = std::make_shared<ScriptedGenerator>(std::move(script));
    server_ = start_server(backend_, options);
  }
  Reply ask(const json& body) {
    TestClient client(server_->port());
    client.send(post(kChat, body.dump()));
    return client.read_reply();
  }
  // The error object of a refused request.
  json refusal(const json& body, int status = 400) { return refusal_of(body.dump(), status); }
  json refusal_of(const std::string& body, int status = 400) {
    TestClient client(server_->port());
    client.send(post(kChat, body));
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, status) << body.substr(0, 300);
    EXPECT_EQ(reply.headers.at("content-type"), "application/json");
    const json parsed = json::parse(reply.body);
    EXPECT_EQ(parsed.size(), 1u);
    const json error = parsed.at("error");
    EXPECT_TRUE(error.at("message").is_string());
    EXPECT_TRUE(error.contains("type") && error.contains("param") && error.contains("code"));
    return error;
  }

  TestBackend backend_;
  std::unique_ptr<Server> server_;
};

TEST_F(ChatTest, AnswersWithOneObject) {
  start(says({"Hel", "lo \"€\"\n"}));
  const Reply reply = ask(chat_body());
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("content-type"), "application/json");
  json body = json::parse(reply.body);
  EXPECT_THAT(body.at("id").get<std::string>(), StartsWith("chatcmpl-"));
  EXPECT_GT(body.at("created").get<int64_t>(), 1'600'000'000);
  body.erase("id");
  body.erase("created");
  EXPECT_EQ(body, json::parse(R"({
      "object": "chat.completion", "model": "ember", "system_fingerprint": "hearth-1.2.3",
      "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello \"€\"\n", "refusal": null},
                   "logprobs": null, "finish_reason": "stop"}],
      "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11,
                "prompt_tokens_details": {"cached_tokens": 4}}})"));
}

// The events of a whole stream, without "data: ".
std::vector<std::string> events_of(const Reply& reply) {
  std::vector<std::string> events;
  for (size_t begin = 0; begin < reply.body.size();) {
    const size_t end = reply.body.find("\n\n", begin);
    EXPECT_EQ(reply.body.substr(begin, 6), "data: ");
    events.push_back(reply.body.substr(begin + 6, end - begin - 6));
    begin = end + 2;
  }
  return events;
}

TEST_F(ChatTest, StreamsChunks) {
  start(says({"Hel", "", "lo"}));
  const Reply reply = ask(chat_body({{"stream", true}}));
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("content-type"), "text/event-stream; charset=utf-8");
  const std::vector<std::string> events = events_of(reply);
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events.back(), "[DONE]");
  const json deltas[] = {{{"role", "assistant"}, {"content", ""}},
                         {{"content", "Hel"}},
                         {{"content", "lo"}},
                         json::object()};
  std::set<std::string> ids;
  for (size_t i = 0; i < 4; ++i) {
    json chunk = json::parse(events[i]);
    ids.insert(chunk.at("id").get<std::string>());
    chunk.erase("id");
    chunk.erase("created");
    const json choice = {{"index", 0},
                         {"delta", deltas[i]},
                         {"logprobs", nullptr},
                         {"finish_reason", i == 3 ? json("stop") : json(nullptr)}};
    EXPECT_EQ(chunk, (json{{"object", "chat.completion.chunk"},
                           {"model", "ember"},
                           {"system_fingerprint", "hearth-1.2.3"},
                           {"choices", json::array({choice})}}));
  }
  EXPECT_EQ(ids.size(), 1u);
}

TEST_F(ChatTest, TheLastChunkHasTheUsageIfAsked) {
  start(says({"a"}));
  const Reply reply =
      ask(chat_body({{"stream", true}, {"stream_options", {{"include_usage", true}}}}));
  const std::vector<std::string> events = events_of(reply);
  ASSERT_EQ(events.size(), 5u);
  for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(json::parse(events[i]).at("usage").is_null());
  const json last = json::parse(events[3]);
  EXPECT_EQ(last.at("choices"), json::array());
  EXPECT_EQ(last.at("usage").at("total_tokens"), 10);
}

TEST_F(ChatTest, AnAnswerThatWasCutOffSaysSo) {
  start([](const auto&, const runtime::EventHandler& handler) {
    handler(runtime::Started{});
    handler(runtime::Finished{.reason = runtime::FinishReason::kLength});
  });
  EXPECT_EQ(json::parse(ask(chat_body()).body)["choices"][0]["finish_reason"], "length");
}

TEST_F(ChatTest, TextArrivesWhenItIsMade) {
  start();
  TestClient client(server_->port());
  client.send(post(kChat, chat_body({{"stream", true}}).dump()));
  ASSERT_TRUE(backend_.scripted->wait_running(1));
  backend_.scripted->emit(runtime::Started{});
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_THAT(client.read_event(), HasSubstr("assistant"));
  for (const char* word : {"one", "two", "three"}) {
    backend_.scripted->emit(runtime::Delta{.text = word});
    EXPECT_THAT(client.read_event(), HasSubstr(word));
  }
  backend_.scripted->emit(runtime::Finished{});
  EXPECT_THAT(client.read_event(), HasSubstr("stop"));
  EXPECT_EQ(client.read_event(), "data: [DONE]");
  EXPECT_EQ(client.read_event(), "");
  EXPECT_TRUE(backend_.scripted->wait_running(0));
}

TEST_F(ChatTest, CommentsKeepAWaitingStreamAlive) {
  start(nullptr, {.stream_keep_alive = std::chrono::milliseconds(10)});
  TestClient client(server_->port());
  client.send(post(kChat, chat_body({{"stream", true}}).dump()));
  ASSERT_TRUE(backend_.scripted->wait_running(1));
  backend_.scripted->emit(runtime::Started{});
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_THAT(client.read_event(), StartsWith("data: "));
  EXPECT_EQ(client.read_event(), ": keep-alive");
  EXPECT_EQ(client.read_event(), ": keep-alive");
}

TEST_F(ChatTest, ARefusalByTheGeneratorIsNeverA200) {
  const std::pair<Error, int> cases[] = {
      {Error(Code::kInvalidArgument, "roles must alternate"), 400},
      {Error(Code::kUnsupported, "no"), 400},
      {Error(Code::kResourceExhausted, "the queue is full"), 429},
      {Error(Code::kUnavailable, "the device is gone"), 503},
      {Error(Code::kInternal, "a bug"), 500},
  };
  for (const auto& [error, status] : cases) {
    start([&error = error](const auto&, const runtime::EventHandler& handler) { handler(error); });
    for (const bool stream : {true, false}) {
      EXPECT_EQ(refusal(chat_body({{"stream", stream}}), status).at("message"), error.message());
    }
  }
}

TEST_F(ChatTest, APromptThatIsTooLongHasItsOwnCode) {
  start([](const auto&, const runtime::EventHandler& handler) {
    handler(Error(Code::kInvalidArgument,
                  "prompt of 900 tokens is longer than ember's context of 512"));
  });
  const json error = refusal(chat_body({{"stream", true}}));
  EXPECT_EQ(error.at("code"), "context_length_exceeded");
  EXPECT_EQ(error.at("param"), "messages");
}

TEST_F(ChatTest, AnErrorInsideAStreamIsItsLastEvent) {
  start([](const auto&, const runtime::EventHandler& handler) {
    handler(runtime::Started{});
    handler(runtime::Delta{.text = "half"});
    handler(Error(Code::kUnavailable, "a device left"));
  });
  const Reply reply = ask(chat_body({{"stream", true}}));
  EXPECT_EQ(reply.status, 200);
  const std::vector<std::string> events = events_of(reply);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(json::parse(events[2]).at("error").at("message"), "a device left");
  // Without a stream nothing was sent yet.
  EXPECT_EQ(refusal(chat_body(), 503).at("message"), "a device left");
}

TEST_F(ChatTest, AClientThatLeavesFreesItsSequence) {
  start();
  for (const bool stream : {true, false}) {
    for (const bool begun : {true, false}) {
      TestClient client(server_->port());
      client.send(post(kChat, chat_body({{"stream", stream}}).dump()));
      ASSERT_TRUE(backend_.scripted->wait_running(1));
      if (begun) backend_.scripted->emit(runtime::Started{});
      if (begun && stream) {
        ASSERT_EQ(client.read_head().status, 200);
      }
      client.close();
      EXPECT_TRUE(backend_.scripted->wait_running(0)) << stream << begun;
    }
  }
}

TEST_F(ChatTest, UnknownAndAbsentModels) {
  start(says({"a"}));
  const json unknown = refusal(chat_body({{"model", "llama"}}), 404);
  EXPECT_EQ(unknown.at("type"), "not_found_error");
  EXPECT_EQ(unknown.at("code"), "model_not_found");
  EXPECT_EQ(unknown.at("param"), "model");
  EXPECT_EQ(refusal(chat_body({{"model", "org/name"}}), 503).at("type"), "server_error");
}

TEST_F(ChatTest, TheRequestReachesTheGenerator) {
  start(says({"a"}));
  const Reply reply = ask(json::parse(R"({
      "model": "ember",
      "messages": [{"role": "developer", "content": "S", "name": "x"},
                   {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                   {"role": "assistant", "content": null}, {"role": "assistant", "tool_calls": []},
                   {"role": "user", "content": "é\u0000"}],
      "max_completion_tokens": 7, "temperature": 0, "top_p": 0.5, "top_k": 3, "min_p": 0.25,
      "repetition_penalty": 1.5, "presence_penalty": -1, "frequency_penalty": 2, "seed": -1,
      "stop": ["x", "yz"], "n": 1, "tools": [], "tool_choice": "auto", "logprobs": false, "user": "me",
      "response_format": {"type": "text"}, "stream": null, "logit_bias": {}, "whatever": {"a": 1}})"));
  ASSERT_EQ(reply.status, 200) << reply.body;
  const runtime::GenerateRequest request = backend_.scripted->requests().at(0);
  EXPECT_FALSE(request.id.empty());
  EXPECT_EQ(json::parse(std::get<runtime::ChatPrompt>(request.prompt).messages_json),
            json::parse(R"([
      {"role": "system", "content": "S"}, {"role": "user", "content": "ab"},
      {"role": "assistant", "content": ""}, {"role": "assistant", "content": ""},
      {"role": "user", "content": "é\u0000"}])"));
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_THAT(request.stop, ElementsAre("x", "yz"));
  EXPECT_EQ(request.sampling.temperature, 0.0f);
  EXPECT_EQ(request.sampling.top_p, 0.5f);
  EXPECT_EQ(request.sampling.top_k, 3);
  EXPECT_EQ(request.sampling.min_p, 0.25f);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(request.sampling.presence_penalty, -1.0f);
  EXPECT_EQ(request.sampling.frequency_penalty, 2.0f);
  EXPECT_EQ(request.sampling.seed, ~uint64_t{0});
}

TEST_F(ChatTest, AbsentFieldsHaveTheirDefaultsAndSeedsDiffer) {
  start(says({"a"}));
  std::set<uint64_t> seeds;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(ask(chat_body()).status, 200);
    const runtime::GenerateRequest request = backend_.scripted->requests().back();
    EXPECT_EQ(request.sampling.temperature, 1.0f);
    EXPECT_EQ(request.sampling.top_p, 1.0f);
    EXPECT_EQ(request.sampling.top_k, 0);
    EXPECT_EQ(request.max_tokens, 0);
    EXPECT_TRUE(request.stop.empty());
    seeds.insert(request.sampling.seed);
  }
  EXPECT_EQ(seeds.size(), 3u);
  ask(chat_body({{"seed", 42}, {"stop", "one"}, {"max_tokens", 9'000'000'000'000}, {"top_k", -1}}));
  const runtime::GenerateRequest request = backend_.scripted->requests().back();
  EXPECT_EQ(request.sampling.seed, 42u);
  EXPECT_THAT(request.stop, ElementsAre("one"));
  EXPECT_EQ(request.max_tokens, std::numeric_limits<int>::max());
  EXPECT_EQ(request.sampling.top_k, 0);
}

TEST_F(ChatTest, WrongFieldsAreRefusedByName) {
  start(says({"a"}));
  const std::pair<const char*, const char*> cases[] = {
      {R"({"model": null})", "model"},
      {R"({"model": 5})", "model"},
      {R"({"model": ""})", "model"},
      {R"({"messages": null})", "messages"},
      {R"({"messages": []})", "messages"},
      {R"({"messages": "Hi"})", "messages"},
      {R"({"messages": {"role": "user"}})", "messages"},
      {R"({"messages": ["Hi"]})", "messages[0]"},
      {R"({"messages": [{"content": "x"}]})", "messages[0].role"},
      {R"({"messages": [{"role": 5, "content": "x"}]})", "messages[0].role"},
      {R"({"messages": [{"role": "user", "content": "x"}, {"role": "robot", "content": "x"}]})",
       "messages[1].role"},
      {R"({"messages": [{"role": "tool", "content": "x"}]})", "messages[0].role"},
      {R"({"messages": [{"role": "user"}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": null}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": 5}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": {}}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": ["x"]}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})", "messages[0].content"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]})",
       "messages[0].content"},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{}]}]})", "messages[0].tool_calls"},
      {R"({"stream": "yes"})", "stream"},
      {R"({"stream_options": {}})", "stream_options"},
      {R"({"stream": true, "stream_options": []})", "stream_options"},
      {R"({"stream": true, "stream_options": {"include_usage": 1}})",
       "stream_options.include_usage"},
      {R"({"max_tokens": 0})", "max_tokens"},
      {R"({"max_tokens": -1})", "max_tokens"},
      {R"({"max_tokens": 1.5})", "max_tokens"},
      {R"({"max_tokens": "7"})", "max_tokens"},
      {R"({"max_tokens": 5, "max_completion_tokens": 6})", "max_tokens"},
      {R"({"temperature": 2.1})", "temperature"},
      {R"({"temperature": -0.1})", "temperature"},
      {R"({"temperature": "hot"})", "temperature"},
      {R"({"temperature": true})", "temperature"},
      {R"({"top_p": 1.1})", "top_p"},
      {R"({"top_k": 1.1})", "top_k"},
      {R"({"top_k": -2})", "top_k"},
      {R"({"min_p": 2})", "min_p"},
      {R"({"repetition_penalty": 0})", "repetition_penalty"},
      {R"({"presence_penalty": 3})", "presence_penalty"},
      {R"({"frequency_penalty": -3})", "frequency_penalty"},
      {R"({"seed": 1.5})", "seed"},
      {R"({"seed": "x"})", "seed"},
      {R"({"stop": 5})", "stop"},
      {R"({"stop": [5]})", "stop"},
      {R"({"stop": [""]})", "stop"},
      {R"({"stop": ["1","2","3","4","5","6","7","8","9","0","a","b","c","d","e","f","g"]})",
       "stop"},
      {R"({"n": 2})", "n"},
      {R"({"n": 0})", "n"},
      {R"({"n": "1"})", "n"},
      {R"({"tools": [{"type": "function"}]})", "tools"},
      {R"({"tool_choice": "required"})", "tool_choice"},
      {R"({"functions": [{}]})", "functions"},
      {R"({"response_format": {"type": "json_object"}})", "response_format"},
      {R"({"logprobs": true})", "logprobs"},
      {R"({"top_logprobs": 2})", "top_logprobs"},
      {R"({"logit_bias": {"5": 1}})", "logit_bias"},
      {R"({"modalities": ["text", "audio"]})", "modalities"},
      {R"({"audio": {}})", "audio"},
      {R"({"reasoning_effort": "low"})", "reasoning_effort"},
  };
  for (const auto& [fields, param] : cases) {
    const json error = refusal(chat_body(json::parse(fields)));
    EXPECT_EQ(error.at("param"), param) << fields;
    EXPECT_EQ(error.at("type"), "invalid_request_error");
    EXPECT_THAT(error.at("message").get<std::string>(), HasSubstr(param));
  }
  EXPECT_TRUE(backend_.scripted->requests().empty());
}

TEST_F(ChatTest, BodiesThatAreNoJsonObjectAreRefused) {
  start(says({"a"}));
  const std::string good = chat_body().dump();
  for (const std::string& body :
       std::vector<std::string>{"",
                                " ",
                                "{",
                                "}",
                                "null",
                                "true",
                                "5",
                                "\"x\"",
                                "[]",
                                "[" + good + "]",
                                good + "x",
                                good.substr(0, good.size() - 1),
                                "{'model': 'ember'}",
                                "{\"model\": \"\xFF\"}",
                                "{\"model\": \"\\ud800\"}",
                                "{\"a\": 1e999}",
                                "{\"a\": NaN}",
                                "{\"a\": 01}",
                                "{\"a\": \"\n\"}",
                                std::string("\0\0\0", 3),
                                "\xEF\xBB\xBF",
                                "{\"model\" \"x\"}",
                                std::string(100'000, '['),
                                "{\"a\":" + std::string(100'000, '{'),
                                "{\"a\": " + std::string(100, '[') + std::string(100, ']') + "}"}) {
    EXPECT_EQ(refusal_of(body).at("type"), "invalid_request_error");
  }
  // Every cut and many changes of a good body are answered, too.
  TestClient client(server_->port());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ 0x15);
    client.send(post(kChat, good.substr(0, i)));
    EXPECT_EQ(client.read_reply().status, 400);
    client.send(post(kChat, changed));
    EXPECT_NE(client.read_reply().status, 500);
  }
}

}  // namespace
}  // namespace hearth::serve
