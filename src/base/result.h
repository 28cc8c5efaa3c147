// Errors as values. Start here: every fallible function of Hearth returns `Result<T>`.
//
//   Result<Config> load(std::string_view path);
//
//   Result<int> port_of(std::string_view path) {
//     HEARTH_TRY(const Config config, load(path));   // returns the error to the caller
//     return config.port;
//   }
//
// Input errors (files, peers, requests, the system) are values. Bugs are HEARTH_CHECK, which stays
// on in release builds. Exceptions of third-party libraries stop at the call into them.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace hearth {

// The closed set of failure kinds. HTTP statuses and exit codes are derived from it.
enum class Code : unsigned char {
  kInvalidArgument,    // the caller's request is wrong and will stay wrong
  kNotFound,           // the thing named does not exist
  kAlreadyExists,      // the thing named exists and must not
  kPermissionDenied,   // the peer or user may not do this
  kResourceExhausted,  // out of memory, disk, slots or queue room; may succeed later
  kUnavailable,        // a peer, process or service is gone; may succeed later
  kDeadlineExceeded,   // it took too long
  kCancelled,          // the caller withdrew
  kCorrupt,            // a file or message is damaged, truncated or hostile
  kUnsupported,        // valid, but not something this build or model can do
  kInternal,           // a bug, or a system call that should not fail
};

// "invalid argument", "not found", ...
std::string_view to_string(Code code);

// What failed. `message` names what, where and what to do, in one line, without a trailing period.
class Error {
 public:
  Error(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  Code code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error seen from further out: "loading ember: file.gguf: truncated at byte 12".
  Error context(std::string_view prefix) const {
    return Error(code_, std::string(prefix) + ": " + message_);
  }

 private:
  Code code_;
  std::string message_;
};

// A value or an Error. Value access without a value is a bug and aborts.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return *check(std::get_if<0>(&state_)); }
  const T& value() const& { return *check(std::get_if<0>(&state_)); }
  T&& value() && { return std::move(*check(std::get_if<0>(&state_))); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !ok().
  const Error& error() const { return *std::get_if<1>(&state_); }

  T value_or(T fallback) const& { return ok() ? value() : std::move(fallback); }

 private:
  template <class P>
  P* check(P* value) const {
    if (value == nullptr) {
      std::fprintf(stderr, "value of a failed Result: %s\n", error().message().c_str());
      std::abort();
    }
    return value;
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  // REQUIRES: !ok().
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

#define HEARTH_CONCAT_(a, b) a##b
#define HEARTH_CONCAT(a, b) HEARTH_CONCAT_(a, b)

// Evaluates `expression` (a Result<T>); on failure returns its error, else declares or assigns
// `declaration` from its value. Put types with commas in parentheses-free aliases.
#define HEARTH_TRY(declaration, ...)                     \
  auto HEARTH_CONCAT(result_, __LINE__) = (__VA_ARGS__); \
  if (!HEARTH_CONCAT(result_, __LINE__).ok()) {          \
    return HEARTH_CONCAT(result_, __LINE__).error();     \
  }                                                      \
  declaration = std::move(HEARTH_CONCAT(result_, __LINE__)).value()

// Evaluates a Result<void> (or drops a value); on failure returns its error.
#define HEARTH_RETURN_IF_ERROR(...)                    \
  do {                                                 \
    if (auto result_ = (__VA_ARGS__); !result_.ok()) { \
      return result_.error();                          \
    }                                                  \
  } while (false)

// A condition that only a bug in Hearth can break. Never depends on input.
#define HEARTH_CHECK(condition)                                                          \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

}  // namespace hearth
