// Requests and answers, without any socket: what stands between the protocol (session) and the API
// (handlers).
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace hearth::serve {

using Clock = std::chrono::steady_clock;

struct Request {
  std::string method;                          // "GET"
  std::string path;                            // decoded, begins with '/'
  std::map<std::string, std::string> query;    // decoded; the first of equal names
  std::map<std::string, std::string> headers;  // names in lower case; equal ones joined by ", "
  std::string body;

  // Empty when absent.
  std::string_view header(std::string_view lower_case_name) const {
    const auto found = headers.find(std::string(lower_case_name));
    return found == headers.end() ? std::string_view() : found->second;
  }
};

using Headers = std::vector<std::pair<std::string, std::string>>;

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  Headers headers = {};  // besides Content-Type, Content-Length, Date and Connection
};

// An answer that comes over time: tokens, or events. Used by one session, on one thread at a time.
class Source {
 public:
  struct Next {
    std::optional<Response>
        response;       // the whole answer; only before the first text. Ends the source
    std::string text;   // to be sent now; the first one begins a 200 text/event-stream
    bool done = false;  // nothing follows
    std::optional<Clock::time_point> again_at;  // ask again then, even if nobody wakes
  };

  // Cancels what is at work; `wake` is not called any more once it has returned.
  virtual ~Source() = default;

  // Called once, before next(). `wake` may be called from any thread, whenever next() may have
  // something new.
  virtual void start(std::function<void()> wake) = 0;
  // What there is to send. Never waits.
  virtual Next next() = 0;
  // Comments are sent when nothing else was for so long.
  virtual std::chrono::milliseconds keep_alive() const = 0;
};

using Answer = std::variant<Response, std::unique_ptr<Source>>;

}  // namespace hearth::serve
