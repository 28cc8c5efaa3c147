// For tests: a client of plain sockets, and a device whose generator says what a test wants.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "serve/backend.h"
#include "serve/server.h"

namespace hearth::serve {

struct Reply {
  int status = 0;                              // 0: no whole answer came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks put together
};

// One connection. Every wait ends after ten seconds at the latest.
class TestClient {
 public:
  explicit TestClient(int port);
  ~TestClient();
  TestClient(const TestClient&) = delete;

  // False when the server has closed the connection.
  bool send(std::string_view bytes);
  // Reads one answer to its end. `head`: the answer has no body.
  Reply read_reply(bool head = false);
  // Reads the head of a stream, and then event by event ("" at the end of the stream).
  Reply read_head();
  std::string read_event();
  // True when the server closes the connection; what it sends before is dropped.
  bool is_closed();
  void close();

 private:
  bool fill();
  std::optional<std::string> take_until(std::string_view mark);
  std::optional<std::string> take(size_t bytes);
  // The next chunk of a body; empty at its end.
  std::optional<std::string> take_chunk();

  int socket_ = -1;
  std::string buffer_;
  std::string events_;
};

std::string get(const std::string& path, const std::string& headers = "");
std::string post(const std::string& path, const std::string& body, const std::string& headers = "");

// A generator that a test drives by hand. Thread-safe.
class ScriptedGenerator final : public runtime::Generator {
 public:
  // Called with every request, on the server's thread.
  using Script = std::function<void(const runtime::GenerateRequest&, const runtime::EventHandler&)>;
  explicit ScriptedGenerator(Script script = nullptr) : script_(std::move(script)) {}

  std::unique_ptr<runtime::Generation> generate(runtime::GenerateRequest request,
                                                runtime::EventHandler handler) override;

  // Waits for `count` requests to be at work, or to have come in all.
  bool wait_running(int count);
  bool wait_requests(size_t count);
  // Sends `event` to every request at work.
  void emit(const runtime::GenerateEvent& event);
  std::vector<runtime::GenerateRequest> requests() const;

 private:
  class Work;

  mutable std::mutex mutex_;
  Script script_;
  std::vector<runtime::GenerateRequest> requests_;
  std::map<Work*, runtime::EventHandler> running_;
};

// A device with one model, "ember". Thread-safe where the server needs it.
class TestBackend final : public Backend {
 public:
  std::vector<ModelCard> models() override;
  Result<std::shared_ptr<runtime::Generator>> generator(const std::string& model) override;
  std::string device_id() override { return "d1"; }
  std::string state_json() override;
  std::string health_json() override { return R"({"status":"ok"})"; }
  Result<std::string> instance_json(const std::string& id) override;
  Result<std::string> previews_json(const PlaceRequest& request) override;
  Result<std::string> place_instance(const PlaceRequest& request) override;
  Result<void> delete_instance(const std::string& id) override;
  std::shared_ptr<void> watch(std::function<void()> changed) override;

  // Changes the state, and tells those who watch.
  void change_state();
  size_t watchers();

  std::shared_ptr<ScriptedGenerator> scripted = std::make_shared<ScriptedGenerator>();
  PlaceRequest placed;
  PlaceRequest previewed;

 private:
  std::mutex mutex_;
  int version_ = 0;
  std::map<int, std::function<void()>> watchers_;
  int next_watcher_ = 0;
};

// A server on any free port of this machine, with waits that tests can wait for.
std::unique_ptr<Server> start_server(Backend& backend, ServerOptions options = {});

// Waits until `done`, for ten seconds at most.
bool eventually(const std::function<bool()>& done);

}  // namespace hearth::serve
