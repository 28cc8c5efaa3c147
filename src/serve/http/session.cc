#include "serve/http/session.h"

#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <mutex>
#include <utility>

#include "base/limits.h"
#include "base/log.h"
#include "serve/api/errors.h"
#include "serve/http/sse.h"
#include "serve/http/url.h"
#include "serve/http/wire.h"

namespace hearth::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using Parser = http::request_parser<http::string_body>;

// Requests that a client sends ahead while a stream runs are kept up to this size, and read on
// after it.
constexpr size_t kAheadBytesMax = 64 * 1024;
constexpr size_t kLingerBytesMax = 128 * 1024 * 1024;

// Lets other threads wake a coroutine until disarm() returns. Thread-safe.
class Waker {
 public:
  explicit Waker(std::function<void()> post) : post_(std::move(post)) {}
  void wake() {
    std::lock_guard lock(mutex_);
    if (post_) post_();
  }
  void disarm() {
    std::lock_guard lock(mutex_);
    post_ = nullptr;
  }

 private:
  std::mutex mutex_;
  std::function<void()> post_;
};

Request to_request(Parser::value_type&& message, Target target) {
  Request request{.method = std::string(message.method_string()),
                  .path = std::move(target.path),
                  .query = std::move(target.query)};
  for (const auto& field : message) {
    std::string name(field.name_string());
    for (char& c : name) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    }
    std::string& value = request.headers[name];
    if (!value.empty()) value += ", ";
    value += field.value();
  }
  request.body = std::move(message.body());
  return request;
}

// The refusal for a request that could not be read, or nothing if the client is not there to be
// told.
std::optional<ApiError> read_error(error_code ec) {
  if (ec == http::error::body_limit) {
    return ApiError{.status = 413, .message = "the body is larger than 32 MB"};
  }
  if (ec == http::error::header_limit || ec == http::error::buffer_overflow) {
    return ApiError{.status = 431, .message = "the header is larger than 64 KiB"};
  }
  const bool gone = ec == http::error::end_of_stream || ec == http::error::partial_message;
  const bool malformed = ec.category() == http::make_error_code(http::error::bad_method).category();
  if (gone || !malformed) return std::nullopt;
  return bad_request("this is not HTTP/1.1: " + ec.message());
}

class SessionImpl final : public Session, public std::enable_shared_from_this<SessionImpl> {
 public:
  SessionImpl(asio::ip::tcp::socket socket, const SessionContext& context)
      : context_(context), stream_(std::move(socket)), signal_(stream_.get_executor()) {}

  static void start(const std::shared_ptr<SessionImpl>& self, std::function<void()> ended) {
    asio::co_spawn(self->stream_.get_executor(), self->run(),
                   [self, ended = std::move(ended)](const std::exception_ptr& error) {
                     if (error != nullptr) log::error("an HTTP session ended by an exception");
                     self->shut_down();
                     ended();
                   });
  }

  void close() override {
    asio::post(stream_.get_executor(), [self = shared_from_this()] {
      self->closing_ = true;
      self->shut_down();
      self->notify();
    });
  }

 private:
  asio::awaitable<void> run() {
    bool open = true;
    while (open && !closing_) {
      Parser parser;
      parser.header_limit(static_cast<uint32_t>(limits::kHttpHeaderBytesMax));
      parser.body_limit(static_cast<uint64_t>(limits::kHttpBodyBytesMax));
      const error_code ec = co_await read(parser);
      if (ec) {
        co_await refuse(ec);
        open = false;
      } else {
        open = co_await answer(parser);
      }
    }
  }

  asio::awaitable<error_code> read(Parser& parser) {
    error_code ec;
    stream_.expires_after(context_.patience.header);
    co_await http::async_read_header(stream_, buffer_, parser,
                                     asio::redirect_error(asio::use_awaitable, ec));
    if (ec) co_return ec;
    if (beast::iequals(parser.get()[http::field::expect], "100-continue")) {
      const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
      co_await write(go_on);
    }
    stream_.expires_after(context_.patience.body);
    co_await http::async_read(stream_, buffer_, parser,
                              asio::redirect_error(asio::use_awaitable, ec));
    co_return ec;
  }

  // Says why the request is refused, and reads the rest of it: a connection that is closed with
  // unread bytes is reset, and the client would never see the answer.
  asio::awaitable<void> refuse(error_code ec) {
    const std::optional<ApiError> error = read_error(ec);
    if (!error.has_value()) co_return;
    const std::string bytes = response_bytes(error_response(*error), Framing{.keep_alive = false});
    const bool written = co_await write(bytes);
    if (!written) co_return;
    error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    stream_.expires_after(context_.patience.linger);
    std::string sink(64 * 1024, '\0');
    size_t read = 0;
    while (read < kLingerBytesMax && !closing_) {
      error_code end;
      read += co_await stream_.async_read_some(asio::buffer(sink),
                                               asio::redirect_error(asio::use_awaitable, end));
      if (end) co_return;
    }
  }

  // Whether the connection can go on.
  asio::awaitable<bool> answer(Parser& parser) {
    Framing framing{.keep_alive = parser.get().keep_alive(),
                    .body = parser.get().method() != http::verb::head,
                    .chunked = parser.get().version() >= 11};
    Answer answer = find_answer(parser, framing);
    if (auto* source = std::get_if<std::unique_ptr<Source>>(&answer)) {
      if (!framing.chunked) framing.keep_alive = false;
      const bool open = co_await send_stream(**source, framing);
      // Cancels what is still at work before anything else is read.
      source->reset();
      waker_->disarm();
      co_await stop_watching();
      co_return open&& framing.keep_alive;
    }
    const std::string bytes = response_bytes(std::get<Response>(answer), framing);
    const bool written = co_await write(bytes);
    co_return written&& framing.keep_alive;
  }

  Answer find_answer(Parser& parser, const Framing& framing) const {
    std::optional<Target> target = parse_target(parser.get().target());
    if (!target.has_value()) return error_response(bad_request("malformed request target"));
    if (framing.chunked && parser.get()[http::field::host].empty()) {
      return error_response(bad_request("the Host header is missing"));
    }
    const Request request = to_request(parser.release(), std::move(*target));
    if (const std::optional<std::string> refusal = context_.guard.refusal(request)) {
      return error_response({.status = 403, .type = "permission_error", .message = *refusal});
    }
    try {
      Answer answer = context_.router.route(request);
      if (framing.body || std::holds_alternative<Response>(answer)) return answer;
      return Response{.content_type = "text/event-stream; charset=utf-8"};
    } catch (const std::exception& error) {
      log::error("{} {}: {}", request.method, request.path, error.what());
      return error_response({.status = 500, .type = "server_error", .message = "internal error"});
    }
  }

  // Whether the stream was sent to its end.
  asio::awaitable<bool> send_stream(Source& source, const Framing& framing) {
    waker_ = std::make_shared<Waker>([this] {
      asio::post(stream_.get_executor(), [self = shared_from_this()] { self->notify(); });
    });
    source.start([waker = waker_] { waker->wake(); });
    stream_.expires_never();
    watch_peer();
    std::string bytes;  // to be sent; the stream's head goes with its first piece
    bool begun = false;
    Clock::time_point last_sent;
    while (!gone_ && !closing_) {
      const Source::Next next = source.next();
      if (next.response.has_value()) {
        bytes = response_bytes(*next.response, framing);
        const bool written = co_await write(bytes);
        co_return written;
      }
      bytes.clear();
      if (!begun && (!next.text.empty() || next.done)) bytes = stream_head(framing);
      begun = begun || !bytes.empty();
      if (!next.text.empty()) bytes += stream_piece(next.text, framing);
      if (next.done) bytes += stream_piece("", framing);
      const bool silent = begun && Clock::now() - last_sent >= source.keep_alive();
      if (bytes.empty() && silent) bytes = stream_piece(kSseKeepAlive, framing);
      if (!bytes.empty()) {
        const bool written = co_await write(bytes);
        if (!written || next.done) co_return written;
        last_sent = Clock::now();
      }
      Clock::time_point until = Clock::now() + std::chrono::hours(1);
      if (begun) until = std::min(until, last_sent + source.keep_alive());
      if (next.again_at.has_value()) until = std::min(until, *next.again_at);
      co_await wait_until(until);
    }
    co_return false;
  }

  asio::awaitable<bool> write(const std::string& bytes) {
    error_code ec;
    stream_.expires_after(context_.patience.write);
    co_await asio::async_write(stream_, asio::buffer(bytes),
                               asio::redirect_error(asio::use_awaitable, ec));
    stream_.expires_never();
    co_return !ec;
  }

  // Returns at `time`, or as soon as somebody notifies.
  asio::awaitable<void> wait_until(Clock::time_point time) {
    if (!notified_) {
      error_code ignored;
      signal_.expires_at(time);
      co_await signal_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
    notified_ = false;
  }

  void notify() {
    notified_ = true;
    signal_.cancel();
  }

  // Reads while a stream is sent, so that a client that leaves is noticed even when there is
  // nothing to send. What it sends ahead is kept for the next request.
  void watch_peer() {
    if (watching_ || buffer_.size() >= kAheadBytesMax) return;
    watching_ = true;
    stream_.async_read_some(buffer_.prepare(4096),
                            [self = shared_from_this()](error_code ec, size_t count) {
                              self->watching_ = false;
                              if (!ec) {
                                self->buffer_.commit(count);
                                self->watch_peer();
                              } else if (ec != asio::error::operation_aborted) {
                                self->gone_ = true;
                              }
                              self->notify();
                            });
  }

  asio::awaitable<void> stop_watching() {
    while (watching_) {
      error_code ignored;
      stream_.socket().cancel(ignored);
      co_await wait_until(Clock::now() + std::chrono::seconds(1));
    }
    notified_ = false;
  }

  void shut_down() {
    error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    stream_.socket().close(ignored);
  }

  const SessionContext context_;
  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  asio::steady_timer signal_;
  std::shared_ptr<Waker> waker_;
  bool notified_ = false;
  bool watching_ = false;  // a read is pending
  bool gone_ = false;      // the client is
  bool closing_ = false;
};

}  // namespace

std::shared_ptr<Session> start_session(asio::ip::tcp::socket socket, const SessionContext& context,
                                       std::function<void()> ended) {
  const auto session = std::make_shared<SessionImpl>(std::move(socket), context);
  SessionImpl::start(session, std::move(ended));
  return session;
}

}  // namespace hearth::serve
