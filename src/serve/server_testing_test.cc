#include "serve/server_testing.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <thread>

namespace hearth::serve {
namespace {

constexpr int kPatienceMs = 10'000;

}  // namespace

// ---- TestClient

TestClient::TestClient(int port) {
  socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
}

TestClient::~TestClient() { close(); }

void TestClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

bool TestClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd wait = {.fd = socket_, .events = POLLOUT, .revents = 0};
    if (::poll(&wait, 1, kPatienceMs) != 1) return false;
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool TestClient::fill() {
  pollfd wait = {.fd = socket_, .events = POLLIN, .revents = 0};
  if (::poll(&wait, 1, kPatienceMs) != 1) return false;
  char bytes[16384];
  const ssize_t count = ::recv(socket_, bytes, sizeof(bytes), 0);
  if (count <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(count));
  return true;
}

std::optional<std::string> TestClient::take_until(std::string_view mark) {
  size_t end = 0;
  while ((end = buffer_.find(mark)) == std::string::npos) {
    if (!fill()) return std::nullopt;
  }
  std::string text = buffer_.substr(0, end);
  buffer_.erase(0, end + mark.size());
  return text;
}

std::optional<std::string> TestClient::take(size_t bytes) {
  while (buffer_.size() < bytes) {
    if (!fill()) return std::nullopt;
  }
  std::string text = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return text;
}

std::optional<std::string> TestClient::take_chunk() {
  const std::optional<std::string> line = take_until("\r\n");
  if (!line.has_value()) return std::nullopt;
  size_t size = 0;
  std::from_chars(line->data(), line->data() + line->size(), size, 16);
  const std::optional<std::string> chunk = take(size);
  if (!chunk.has_value() || !take(2).has_value()) return std::nullopt;
  return chunk;
}

Reply TestClient::read_head() {
  Reply reply;
  std::optional<std::string> head = take_until("\r\n\r\n");
  if (!head.has_value()) return reply;
  *head += "\r\n";
  const size_t first = head->find("\r\n");
  std::from_chars(head->data() + 9, head->data() + 12, reply.status);
  for (size_t begin = first + 2; begin < head->size();) {
    const size_t end = head->find("\r\n", begin);
    const std::string line = head->substr(begin, end - begin);
    const size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    reply.headers[name] = line.substr(colon + 2);
    begin = end + 2;
  }
  return reply;
}

Reply TestClient::read_reply(bool head) {
  Reply reply = read_head();
  if (head || reply.status == 0) return reply;
  if (reply.headers["transfer-encoding"] == "chunked") {
    while (true) {
      const std::optional<std::string> chunk = take_chunk();
      if (!chunk.has_value()) return {};
      if (chunk->empty()) return reply;
      reply.body += *chunk;
    }
  }
  if (reply.headers.contains("content-length")) {
    const auto body = take(std::stoul(reply.headers["content-length"]));
    if (!body.has_value()) return {};
    reply.body = *body;
  }
  return reply;
}

std::string TestClient::read_event() {
  size_t end = 0;
  while ((end = events_.find("\n\n")) == std::string::npos) {
    const std::optional<std::string> chunk = take_chunk();
    if (!chunk.has_value() || chunk->empty()) return "";
    events_ += *chunk;
  }
  std::string event = events_.substr(0, end);
  events_.erase(0, end + 2);
  return event;
}

bool TestClient::is_closed() {
  while (true) {
    pollfd wait = {.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&wait, 1, kPatienceMs) != 1) return false;
    char bytes[16384];
    if (::recv(socket_, bytes, sizeof(bytes), 0) <= 0) return true;
  }
}

std::string get(const std::string& path, const std::string& headers) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", path, headers);
}

std::string post(const std::string& path, const std::string& body, const std::string& headers) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n{}\r\n{}",
      path, body.size(), headers, body);
}

// ---- ScriptedGenerator

class ScriptedGenerator::Work final : public runtime::Generation {
 public:
  explicit Work(ScriptedGenerator* owner) : owner_(owner) {}
  ~Work() override {
    std::lock_guard lock(owner_->mutex_);
    owner_->running_.erase(this);
  }

 private:
  ScriptedGenerator* const owner_;
};

std::unique_ptr<runtime::Generation> ScriptedGenerator::generate(runtime::GenerateRequest request,
                                                                 runtime::EventHandler handler) {
  auto work = std::make_unique<Work>(this);
  if (script_) script_(request, handler);
  std::lock_guard lock(mutex_);
  requests_.push_back(std::move(request));
  running_[work.get()] = std::move(handler);
  return work;
}

bool ScriptedGenerator::wait_running(int count) {
  return eventually([&] {
    std::lock_guard lock(mutex_);
    return running_.size() == static_cast<size_t>(count);
  });
}

bool ScriptedGenerator::wait_requests(size_t count) {
  return eventually([&] { return requests().size() >= count; });
}

void ScriptedGenerator::emit(const runtime::GenerateEvent& event) {
  std::lock_guard lock(mutex_);
  for (const auto& [work, handler] : running_) handler(event);
}

std::vector<runtime::GenerateRequest> ScriptedGenerator::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

// ---- TestBackend

std::vector<ModelCard> TestBackend::models() {
  return {{.id = "ember",
           .name = "Ember",
           .description = "small",
           .architecture = "llama",
           .encoding = "F32",
           .storage_bytes = 1000,
           .context_length = 512,
           .layers = 6,
           .running = true,
           .devices = {"d1"}},
          {.id = "org/name", .name = "Other"}};
}

Result<std::shared_ptr<runtime::Generator>> TestBackend::generator(const std::string& model) {
  if (model == "ember") return std::shared_ptr<runtime::Generator>(scripted);
  if (model == "org/name") return Error(Code::kUnavailable, "an instance of org/name is loading");
  return Error(Code::kNotFound,
               "no instance runs '" + model + "'; POST /place_instance starts one");
}

std::string TestBackend::state_json() {
  std::lock_guard lock(mutex_);
  return fmt::format(R"({{"version":{}}})", version_);
}

Result<std::string> TestBackend::instance_json(const std::string& id) {
  if (id == "i1") return std::string(R"({"instanceId":"i1"})");
  return Error(Code::kNotFound, "there is no instance '" + id + "'");
}

Result<std::string> TestBackend::previews_json(const PlaceRequest& request) {
  previewed = request;
  if (request.model_id == "ember") return std::string(R"({"previews":[]})");
  return Error(Code::kNotFound, "there is no model '" + request.model_id + "'");
}

Result<std::string> TestBackend::place_instance(const PlaceRequest& request) {
  placed = request;
  if (request.min_nodes > 2) return Error(Code::kInvalidArgument, "there are only 2 devices");
  return std::string("i2");
}

Result<void> TestBackend::delete_instance(const std::string& id) {
  if (id == "i1") return {};
  return Error(Code::kNotFound, "there is no instance '" + id + "'");
}

std::shared_ptr<void> TestBackend::watch(std::function<void()> changed) {
  std::lock_guard lock(mutex_);
  const int id = next_watcher_++;
  watchers_[id] = std::move(changed);
  return std::shared_ptr<void>(nullptr, [this, id](void*) {
    std::lock_guard inner(mutex_);
    watchers_.erase(id);
  });
}

void TestBackend::change_state() {
  std::lock_guard lock(mutex_);
  ++version_;
  for (const auto& [id, changed] : watchers_) changed();
}

size_t TestBackend::watchers() {
  std::lock_guard lock(mutex_);
  return watchers_.size();
}

// ---- the rest

std::unique_ptr<Server> start_server(Backend& backend, ServerOptions options) {
  options.port = 0;
  options.version = "1.2.3";
  Result<std::unique_ptr<Server>> server = Server::start(backend, options);
  EXPECT_TRUE(server.ok()) << (server.ok() ? "" : server.error().message());
  return std::move(server).value();
}

bool eventually(const std::function<bool()>& done) {
  for (int waited = 0; waited < kPatienceMs; waited += 2) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return done();
}

}  // namespace hearth::serve
