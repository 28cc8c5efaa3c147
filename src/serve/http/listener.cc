#include "serve/http/listener.h"

#include <fmt/format.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/gate.h"
#include "base/limits.h"
#include "base/log.h"

namespace hearth::serve {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class ListenerImpl final : public Listener {
 public:
  explicit ListenerImpl(const SessionContext& context)
      : context_(context), acceptor_(asio::make_strand(io_)) {}

  ~ListenerImpl() override {
    std::vector<std::shared_ptr<Session>> sessions;
    {
      std::lock_guard lock(mutex_);
      closing_ = true;
      for (const auto& [id, session] : sessions_) sessions.push_back(session);
    }
    asio::post(acceptor_.get_executor(), [this] {
      error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
    });
    for (const auto& session : sessions) session->close();
    sessions.clear();
    gate_.close();
    work_.reset();
    io_.stop();
    for (std::thread& thread : threads_) thread.join();
  }

  Result<void> open(const std::string& address, int port) {
    error_code ec;
    const auto ip = asio::ip::make_address(address == "localhost" ? "127.0.0.1" : address, ec);
    if (ec) {
      return Error(Code::kInvalidArgument,
                   fmt::format("'{}' is no IP address; listen on 127.0.0.1, 0.0.0.0, :: or an "
                               "address of this machine",
                               address));
    }
    const tcp::endpoint endpoint(ip, static_cast<uint16_t>(port));
    acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec && ip.is_v6()) acceptor_.set_option(asio::ip::v6_only(false), ec);
    if (!ec) acceptor_.bind(endpoint, ec);
    if (!ec) acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    if (!ec) port_ = acceptor_.local_endpoint(ec).port();
    if (!ec) return {};
    const std::string at = fmt::format("cannot listen on {} port {}: ", address, port);
    if (ec == asio::error::address_in_use) {
      return Error(Code::kAlreadyExists,
                   at + "the port is taken; is another device running? Choose one with --port");
    }
    if (ec == asio::error::access_denied) {
      return Error(Code::kPermissionDenied,
                   at + "not allowed; choose a port above 1023 with --port");
    }
    if (ec == std::errc::address_not_available) {
      return Error(Code::kInvalidArgument,
                   at + "this machine does not have that address; choose one with --listen");
    }
    return Error(Code::kInternal, at + ec.message());
  }

  void run(int threads) {
    asio::co_spawn(acceptor_.get_executor(), accept(),
                   [pass = std::make_shared<std::optional<Gate::Pass>>(gate_.enter())](
                       const std::exception_ptr&) { pass->reset(); });
    for (int i = 0; i < threads; ++i) {
      threads_.emplace_back([this] { io_.run(); });
    }
  }

  int port() const override { return port_; }

 private:
  asio::awaitable<void> accept() {
    while (acceptor_.is_open()) {
      error_code ec;
      tcp::socket socket(asio::make_strand(io_));
      co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, ec));
      if (!ec) {
        admit(std::move(socket));
        continue;
      }
      if (ec == asio::error::operation_aborted) break;
      // Mostly too many open files: others may be closed soon.
      retry_.expires_after(std::chrono::milliseconds(100));
      co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
  }

  // Starts a session, or drops the connection when there are too many.
  void admit(tcp::socket socket) {
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    std::lock_guard lock(mutex_);
    if (closing_ || sessions_.size() >= static_cast<size_t>(limits::kHttpConnectionsMax)) return;
    std::optional<Gate::Pass> pass = gate_.enter();
    if (!pass.has_value()) return;
    const uint64_t id = next_id_++;
    // A copyable holder, for std::function.
    auto held = std::make_shared<Gate::Pass>(std::move(*pass));
    sessions_[id] = start_session(std::move(socket), context_, [this, id, held]() mutable {
      {
        std::lock_guard inner(mutex_);
        sessions_.erase(id);
      }
      held.reset();
    });
  }

  const SessionContext context_;
  Gate gate_;
  asio::io_context io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  tcp::acceptor acceptor_;
  asio::steady_timer retry_{acceptor_.get_executor()};
  int port_ = 0;
  std::mutex mutex_;
  bool closing_ = false;
  uint64_t next_id_ = 0;
  std::map<uint64_t, std::shared_ptr<Session>> sessions_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Listener>> Listener::start(const std::string& address, int port, int threads,
                                                  const SessionContext& context) {
  auto listener = std::make_unique<ListenerImpl>(context);
  HEARTH_RETURN_IF_ERROR(listener->open(address, port));
  listener->run(threads);
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace hearth::serve
