// Protocol, limits and Hearth's own endpoints, over real sockets.

#include "serve/server.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "serve/assets.h"
#include "serve/server_testing.h"

namespace hearth::serve {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kChatBody[] =
    R"({"model":"ember","stream":true,"messages":[{"role":"user","content":"Hi"}]})";

class ServerTest : public testing::Test {
 protected:
  Reply ask(const std::string& request, bool head = false) {
    TestClient client(server_->port());
    client.send(request);
    return client.read_reply(head);
  }
  void restart(const ServerOptions& options) {
    server_.reset();
    server_ = start_server(backend_, options);
  }

  TestBackend backend_;
  std::unique_ptr<Server> server_ = start_server(backend_);
};

// ---- endpoints

TEST_F(ServerTest, ListsModels) {
  const json list = json::parse(ask(get("/v1/models")).body);
  EXPECT_EQ(list.at("object"), "list");
  ASSERT_EQ(list.at("data").size(), 2u);
  EXPECT_EQ(list["data"][0], json::parse(R"({
      "id": "ember", "object": "model", "created": 0, "owned_by": "hearth", "name": "Ember",
      "description": "small", "storage_size_bytes": 1000, "context_length": 512, "layers": 6,
      "architecture": "llama", "encoding": "F32", "running": true, "devices": ["d1"]})"));
  EXPECT_EQ(json::parse(ask(get("/v1/models/ember")).body), list["data"][0]);
  EXPECT_EQ(json::parse(ask(get("/v1/models/org/name")).body), list["data"][1]);
  EXPECT_EQ(json::parse(ask(get("/v1/models/org%2Fname")).body), list["data"][1]);
  const Reply missing = ask(get("/v1/models/nope"));
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(json::parse(missing.body)["error"]["code"], "model_not_found");
}

TEST_F(ServerTest, AnswersForTheCluster) {
  EXPECT_EQ(ask(get("/health")).body, R"({"status":"ok"})");
  EXPECT_EQ(ask(get("/node_id")).body, "\"d1\"");
  EXPECT_EQ(ask(get("/state")).body, R"({"version":0})");
  EXPECT_EQ(ask(get("/instance/i1")).body, R"({"instanceId":"i1"})");
  EXPECT_EQ(ask(get("/instance/i9")).status, 404);
  EXPECT_EQ(ask(get("/instance/previews?model_id=ember")).body, R"({"previews":[]})");
  EXPECT_EQ(ask(get("/instance/previews?model_id=x")).status, 404);
  EXPECT_EQ(ask(get("/instance/previews")).status, 400);
  EXPECT_EQ(ask(get("/instance/previews?model_id=%zz")).status, 400);
  EXPECT_EQ(backend_.previewed.sharding, "auto");
  EXPECT_EQ(backend_.previewed.kv, "");
  EXPECT_EQ(ask(get("/instance/previews?model_id=ember&sharding=Tensor&kv=q8")).status, 200);
  EXPECT_EQ(backend_.previewed.sharding, "tensor");
  EXPECT_EQ(backend_.previewed.kv, "q8");
  EXPECT_EQ(ask(get("/instance/previews?model_id=ember&sharding=tensor")).status, 400);
}

TEST_F(ServerTest, PlacesAndDeletesInstances) {
  const Reply placed =
      ask(post("/place_instance", R"({"model_id":"ember","min_nodes":2,"sharding":"Pipeline"})"));
  EXPECT_EQ(placed.status, 200);
  const json answer = json::parse(placed.body);
  EXPECT_EQ(answer.at("instance_id"), "i2");
  EXPECT_TRUE(answer.at("message").is_string() && answer.at("command_id").is_string());
  EXPECT_EQ(backend_.placed.model_id, "ember");
  EXPECT_EQ(backend_.placed.min_nodes, 2);
  EXPECT_EQ(backend_.placed.sharding, "pipeline");
  EXPECT_EQ(backend_.placed.kv, "");
  EXPECT_EQ(
      ask(post("/place_instance", R"({"model_id":"ember","sharding":"Tensor","kv":"q8"})")).status,
      200);
  EXPECT_EQ(backend_.placed.sharding, "tensor");
  EXPECT_EQ(backend_.placed.kv, "q8");
  EXPECT_EQ(json::parse(ask(post("/place_instance", R"({"model_id":"ember","min_nodes":3})"))
                            .body)["error"]["message"],
            "there are only 2 devices");
  for (const char* body :
       {"", "[]", "{}", R"({"model_id":5})", R"({"model_id":"ember","min_nodes":0})",
        R"({"model_id":"ember","min_nodes":"2"})", R"({"model_id":"ember","sharding":"Slanted"})",
        R"({"model_id":"ember","sharding":7})", R"({"model_id":"ember","kv":8})"}) {
    EXPECT_EQ(ask(post("/place_instance", body)).status, 400) << body;
  }
  const std::string remove = "DELETE /instance/{} HTTP/1.1\r\nHost: localhost\r\n\r\n";
  EXPECT_EQ(json::parse(ask(fmt::format(fmt::runtime(remove), "i1")).body).at("instance_id"), "i1");
  EXPECT_EQ(ask(fmt::format(fmt::runtime(remove), "i9")).status, 404);
}

TEST_F(ServerTest, EventsTellTheLatestStateAtMostSoOften) {
  const auto interval = std::chrono::milliseconds(100);
  restart({.events_interval = interval});
  TestClient client(server_->port());
  client.send(get("/events"));
  EXPECT_EQ(client.read_head().headers.at("content-type"), "text/event-stream; charset=utf-8");
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(client.read_event(), "event: state\ndata: {\"version\":0}");
  int events = 0;
  for (int version = 1; version <= 200; ++version) backend_.change_state();
  for (std::string event; event != "event: state\ndata: {\"version\":200}"; ++events) {
    event = client.read_event();
    ASSERT_THAT(event, StartsWith("event: state"));
  }
  const auto elapsed = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(events, elapsed / interval + 1);
  client.close();
  EXPECT_TRUE(eventually([&] { return backend_.watchers() == 0; }));
}

TEST_F(ServerTest, EventsAreKeptAlive) {
  restart({.events_keep_alive = std::chrono::milliseconds(10)});
  TestClient client(server_->port());
  client.send(get("/events"));
  client.read_head();
  EXPECT_THAT(client.read_event(), StartsWith("event: state"));
  EXPECT_EQ(client.read_event(), ": keep-alive");
  EXPECT_EQ(client.read_event(), ": keep-alive");
  backend_.change_state();
  std::string event;
  while ((event = client.read_event()) == ": keep-alive") continue;
  EXPECT_EQ(event, "event: state\ndata: {\"version\":1}");
}

// ---- protocol

TEST_F(ServerTest, UnknownPathsAndMethods) {
  const Reply unknown = ask(get("/nope"));
  EXPECT_EQ(unknown.status, 404);
  EXPECT_EQ(json::parse(unknown.body)["error"]["type"], "not_found_error");
  const Reply wrong = ask("DELETE /state HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "GET, HEAD");
  EXPECT_EQ(json::parse(wrong.body)["error"]["type"], "invalid_request_error");
  EXPECT_EQ(ask(get("/v1/chat/completions")).status, 405);
  EXPECT_EQ(ask("BREW /state HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 405);
  const Reply options = ask("OPTIONS /instance/x HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.headers.at("allow"), "GET, HEAD, DELETE");
}

TEST_F(ServerTest, HeadHasNoBody) {
  TestClient client(server_->port());
  client.send("HEAD /state HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Reply head = client.read_reply(/*head=*/true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "13");
  client.send("HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(client.read_reply(/*head=*/true).status, 200);
  client.send(get("/node_id"));
  EXPECT_EQ(client.read_reply().body, "\"d1\"");
}

TEST_F(ServerTest, RequestsSentAheadAreAnsweredInOrder) {
  TestClient client(server_->port());
  std::string requests;
  for (int i = 0; i < 50; ++i)
    requests += get("/node_id") + get("/nope") + post("/place_instance", "{}");
  client.send(requests);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.read_reply().status, 200);
    EXPECT_EQ(client.read_reply().status, 404);
    EXPECT_EQ(client.read_reply().status, 400);
  }
}

TEST_F(ServerTest, ARequestSentWhileAStreamRunsIsAnsweredAfterIt) {
  TestClient client(server_->port());
  client.send(post("/v1/chat/completions", kChatBody));
  ASSERT_TRUE(backend_.scripted->wait_running(1));
  client.send(get("/node_id"));
  backend_.scripted->emit(runtime::Started{});
  backend_.scripted->emit(runtime::Delta{.text = "x"});
  backend_.scripted->emit(runtime::Finished{});
  EXPECT_THAT(client.read_reply().body, HasSubstr("[DONE]"));
  EXPECT_EQ(client.read_reply().body, "\"d1\"");
}

TEST_F(ServerTest, ARequestMayArriveByteByByte) {
  TestClient client(server_->port());
  for (const char byte : post("/place_instance", R"({"model_id":"ember"})")) {
    ASSERT_TRUE(client.send(std::string(1, byte)));
  }
  EXPECT_EQ(client.read_reply().status, 200);
}

TEST_F(ServerTest, ChunkedBodiesAndExpectContinueAreUnderstood) {
  TestClient client(server_->port());
  client.send(
      "POST /place_instance HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
      "8\r\n{\"model_\r\nc\r\nid\":\"ember\"}\r\n0\r\n\r\n");
  EXPECT_EQ(client.read_reply().status, 200);
  client.send(
      "POST /place_instance HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
      "Content-Length: 20\r\n\r\n");
  EXPECT_EQ(client.read_head().status, 100);
  client.send(R"({"model_id":"ember"})");
  EXPECT_EQ(client.read_reply().status, 200);
}

TEST_F(ServerTest, OldClientsGetAStreamThatEndsWithTheConnection) {
  TestClient client(server_->port());
  client.send(fmt::format("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}",
                          sizeof(kChatBody) - 1, kChatBody));
  ASSERT_TRUE(backend_.scripted->wait_running(1));
  backend_.scripted->emit(runtime::Started{});
  backend_.scripted->emit(runtime::Finished{});
  const Reply head = client.read_head();
  EXPECT_FALSE(head.headers.contains("transfer-encoding"));
  EXPECT_EQ(head.headers.at("connection"), "close");
  EXPECT_TRUE(client.is_closed());
}

TEST_F(ServerTest, ConnectionsCloseWhenAsked) {
  TestClient client(server_->port());
  client.send(get("/node_id", "Connection: close\r\n"));
  EXPECT_EQ(client.read_reply().headers.at("connection"), "close");
  EXPECT_TRUE(client.is_closed());
}

TEST_F(ServerTest, WhatIsNotHttpIsRefused) {
  for (const std::string& bytes : std::vector<std::string>{
           "hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n",
           "GET / HTTP/1.1\r\nA B: c\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
           "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: "
           "chunked\r\n\r\n0\r\n\r\n",
           "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11),
           "GET / HTTP/1.1\r\n\r\n", "GET nope HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /a%00b HTTP/1.1\r\nHost: x\r\n\r\n",
           "GET /%ff HTTP/1.1\r\nHost: x\r\n\r\n"}) {
    TestClient client(server_->port());
    client.send(bytes);
    const Reply reply = client.read_reply();
    EXPECT_EQ(reply.status, 400) << bytes;
    EXPECT_TRUE(json::parse(reply.body).contains("error"));
  }
  EXPECT_EQ(ask(get("/health")).status, 200);
}

TEST_F(ServerTest, BodiesOver32MegabytesAreRefused) {
  TestClient client(server_->port());
  const std::string body(33 << 20, 'x');
  client.send(post("/v1/chat/completions", body));
  const Reply reply = client.read_reply();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(json::parse(reply.body)["error"]["type"], "invalid_request_error");

  TestClient chunked(server_->port());
  chunked.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "100000\r\n" + std::string(1 << 20, 'x') + "\r\n";
  for (int i = 0; i < 33; ++i) chunked.send(chunk);
  EXPECT_EQ(chunked.read_reply().status, 413);

  // One byte under the limit is read, and is no JSON.
  EXPECT_EQ(ask(post("/v1/chat/completions", std::string((32 << 20) - 1, 'x'))).status, 400);
}

TEST_F(ServerTest, HeadersOver64KilobytesAreRefused) {
  std::string flood = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 20'000; ++i) flood += "X-" + std::to_string(i) + ": y\r\n";
  TestClient client(server_->port());
  client.send(flood);
  EXPECT_EQ(client.read_reply().status, 431);
  TestClient endless(server_->port());
  endless.send("GET /" + std::string(1 << 20, 'a'));
  EXPECT_EQ(endless.read_reply().status, 431);
}

TEST_F(ServerTest, SlowClientsAreLeft) {
  restart({.patience = {.header = std::chrono::milliseconds(50),
                        .body = std::chrono::milliseconds(50)}});
  TestClient silent(server_->port());
  EXPECT_TRUE(silent.is_closed());
  TestClient half(server_->port());
  half.send("GET / HTTP/1.1\r\nHost: x\r\nX-");
  EXPECT_TRUE(half.is_closed());
  TestClient body(server_->port());
  body.send("POST /place_instance HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_TRUE(body.is_closed());
}

TEST_F(ServerTest, AClientThatDoesNotReadIsLeft) {
  restart({.patience = {.write = std::chrono::milliseconds(50)}});
  TestClient client(server_->port());
  client.send(post("/v1/chat/completions", kChatBody));
  ASSERT_TRUE(backend_.scripted->wait_running(1));
  const std::string text(1 << 20, 'x');
  backend_.scripted->emit(runtime::Started{});
  for (int i = 0; i < 64; ++i) backend_.scripted->emit(runtime::Delta{.text = text});
  EXPECT_TRUE(backend_.scripted->wait_running(0));
}

TEST_F(ServerTest, AHundredConnectionsStreamAtOnce) {
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<TestClient>(server_->port()));
    clients.back()->send(post("/v1/chat/completions", kChatBody));
  }
  ASSERT_TRUE(backend_.scripted->wait_running(100));
  EXPECT_EQ(ask(get("/health")).status, 200);
  backend_.scripted->emit(runtime::Started{});
  for (int i = 0; i < 20; ++i)
    backend_.scripted->emit(runtime::Delta{.text = "w" + std::to_string(i)});
  backend_.scripted->emit(runtime::Finished{});
  for (const auto& client : clients) {
    const std::string body = client->read_reply().body;
    size_t at = 0;
    for (int i = 0; i < 20; ++i) {
      at = body.find("\"w" + std::to_string(i) + "\"", at);
      ASSERT_NE(at, std::string::npos);
    }
    EXPECT_THAT(body, HasSubstr("data: [DONE]"));
  }
  EXPECT_TRUE(backend_.scripted->wait_running(0));
}

TEST_F(ServerTest, StoppingEndsStreamsAndCancelsTheirWork) {
  TestClient client(server_->port());
  client.send(post("/v1/chat/completions", kChatBody));
  TestClient events(server_->port());
  events.send(get("/events"));
  TestClient idle(server_->port());
  ASSERT_TRUE(backend_.scripted->wait_running(1));
  backend_.scripted->emit(runtime::Started{});
  EXPECT_EQ(client.read_head().status, 200);
  EXPECT_EQ(events.read_head().status, 200);
  server_.reset();
  EXPECT_TRUE(backend_.scripted->wait_running(0));
  EXPECT_EQ(backend_.watchers(), 0u);
  EXPECT_TRUE(client.is_closed());
  EXPECT_TRUE(events.is_closed());
  EXPECT_TRUE(idle.is_closed());
}

TEST_F(ServerTest, StoppingWhileTokensFlowIsSafe) {
  for (int round = 0; round < 10; ++round) {
    restart({});
    std::vector<std::unique_ptr<TestClient>> clients;
    for (int i = 0; i < 8; ++i) {
      clients.push_back(std::make_unique<TestClient>(server_->port()));
      clients.back()->send(post("/v1/chat/completions", kChatBody));
      clients.back()->send(get("/events"));
    }
    ASSERT_TRUE(backend_.scripted->wait_running(8));
    std::thread talker([&] {
      backend_.scripted->emit(runtime::Started{});
      for (int i = 0; i < 200; ++i) {
        backend_.scripted->emit(runtime::Delta{.text = "x"});
        backend_.change_state();
      }
    });
    if (round % 2 == 0) clients.clear();
    server_.reset();
    talker.join();
    EXPECT_TRUE(backend_.scripted->wait_running(0));
  }
}

TEST_F(ServerTest, APortThatIsTakenIsSaidSo) {
  ServerOptions options{.port = server_->port()};
  const auto second = Server::start(backend_, options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
  EXPECT_THAT(second.error().message(), HasSubstr("--port"));
  options = {.listen = "nowhere", .port = 0};
  EXPECT_EQ(Server::start(backend_, options).error().code(), Code::kInvalidArgument);
  options = {.listen = "203.0.113.7", .port = 0};
  EXPECT_EQ(Server::start(backend_, options).error().code(), Code::kInvalidArgument);
}

// ---- web pages

TEST_F(ServerTest, PagesOfOtherOriginsAreRefused) {
  const auto with = [](const std::string& host, const std::string& headers) {
    return "GET /state HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n";
  };
  const std::tuple<const char*, const char*, int> cases[] = {
      {"localhost:52415", "Origin: http://localhost:52415\r\n", 200},
      {"10.0.0.2:52415", "Origin: http://10.0.0.2:52415\r\n", 200},
      {"[fe80::1]:52415", "Origin: http://[fe80::1]:52415\r\n", 200},
      {"Studio.local:52415", "Origin: http://studio.local:52415\r\n", 200},
      {"localhost:52415", "Origin: http://evil.example\r\n", 403},
      {"localhost:52415", "Origin: http://localhost:3000\r\n", 403},
      {"localhost:52415", "Origin: null\r\n", 403},
      {"localhost:52415", "Origin: http://localhost:52415.evil.example\r\n", 403},
      // DNS rebinding: the page's own host leads here.
      {"evil.example:52415", "Origin: http://evil.example:52415\r\n", 403},
      {"evil.example:52415", "User-Agent: Mozilla/5.0\r\n", 403},
      {"evil.example:52415", "Sec-Fetch-Site: same-origin\r\n", 403},
      {"localhost.evil.example", "User-Agent: Mozilla/5.0\r\n", 403},
      {"localhost:52415", "User-Agent: Mozilla/5.0\r\nSec-Fetch-Site: none\r\n", 200},
      {"studio:52415", "User-Agent: Mozilla/5.0\r\n", 200},
      {"gpu.example.org:52415", "User-Agent: Mozilla/5.0\r\n", 403},
      // No browser sends these.
      {"gpu.example.org:52415", "User-Agent: OpenAI/JS 4.0\r\n", 200},
      {"gpu.example.org:52415", "", 200},
  };
  for (const auto& [host, headers, status] : cases) {
    const Reply reply = ask(with(host, headers));
    EXPECT_EQ(reply.status, status) << host << " " << headers;
    if (status == 403) {
      EXPECT_EQ(json::parse(reply.body)["error"]["type"], "permission_error");
    }
    EXPECT_FALSE(reply.headers.contains("access-control-allow-origin"));
  }
  EXPECT_EQ(ask(get("/health", "Origin: http://evil.example\r\n")).status, 200);
  EXPECT_EQ(
      ask(post("/place_instance", R"({"model_id":"ember"})", "Origin: http://evil.example\r\n"))
          .status,
      403);
  EXPECT_EQ(backend_.placed.model_id, "");
  restart({.names = {"GPU.example.org"}});
  EXPECT_EQ(ask(with("gpu.example.org:52415", "User-Agent: Mozilla/5.0\r\n")).status, 200);
}

// ---- dashboard

TEST_F(ServerTest, ServesTheDashboard) {
  const Reply page = ask(get("/"));
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.headers.at("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.headers.at("cache-control"), "no-cache");
  const std::string policy = page.headers.at("content-security-policy");
  EXPECT_THAT(policy, HasSubstr("default-src 'none'"));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(page.body, HasSubstr("<title>Hearth</title>"));
  EXPECT_EQ(ask(get("/index.html")).body, page.body);
  const Reply same = ask(get("/", "If-None-Match: " + page.headers.at("etag") + "\r\n"));
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
}

TEST_F(ServerTest, ServesEveryFileThePageNames) {
  int scripts = 0;
  for (const Asset& asset : dashboard_assets()) {
    const Reply plain = ask(get(std::string(asset.path)));
    EXPECT_EQ(plain.status, 200) << asset.path;
    EXPECT_EQ(plain.body.size(), asset.bytes.size());
    EXPECT_FALSE(plain.headers.contains("content-encoding"));
    const Reply zipped = ask(get(std::string(asset.path), "Accept-Encoding: gzip, br\r\n"));
    EXPECT_LE(zipped.body.size(), plain.body.size());
    if (!asset.path.ends_with(".js")) continue;
    ++scripts;
    EXPECT_EQ(zipped.headers.at("content-encoding"), "gzip");
    EXPECT_LT(zipped.body.size(), plain.body.size() / 2);
    EXPECT_THAT(zipped.headers.at("cache-control"), HasSubstr("immutable"));
    EXPECT_THAT(ask(get("/")).body, HasSubstr(std::string(asset.path)));
  }
  EXPECT_GE(scripts, 1);
}

TEST_F(ServerTest, NothingElseCanBeReadByPath) {
  for (const char* path :
       {"/../etc/passwd", "/assets/../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd", "//etc/passwd", "/assets/", "/assets", "/./index.html",
        "/instance/", "/v1/models/", "/%2e%2e/"}) {
    EXPECT_EQ(ask(get(path)).status, 404) << path;
  }
}

}  // namespace
}  // namespace hearth::serve
