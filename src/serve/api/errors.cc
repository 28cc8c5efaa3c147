#include "serve/api/errors.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "serve/api/json.h"

namespace hearth::serve {
namespace {

// Status and type of each kind of failure.
std::pair<int, const char*> status_of(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
    case Code::kUnsupported:
      return {400, "invalid_request_error"};
    case Code::kPermissionDenied:
      return {403, "permission_error"};
    case Code::kNotFound:
      return {404, "not_found_error"};
    case Code::kAlreadyExists:
      return {409, "invalid_request_error"};
    case Code::kResourceExhausted:
      return {429, "rate_limit_error"};
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kCancelled:
      return {503, "server_error"};
    case Code::kCorrupt:
    case Code::kInternal:
      return {500, "server_error"};
  }
  return {500, "server_error"};
}

OrderedJson optional(const std::optional<std::string>& text) {
  return text.has_value() ? OrderedJson(*text) : OrderedJson(nullptr);
}

}  // namespace

ApiError bad_request(std::string message, std::optional<std::string> param) {
  return {.message = std::move(message), .param = std::move(param)};
}

ApiError api_error(const Error& error) {
  const auto [status, type] = status_of(error.code());
  return {.status = status, .type = type, .message = error.message()};
}

std::string error_json(const ApiError& error) {
  const OrderedJson body = {{"message", error.message},
                            {"type", error.type},
                            {"param", optional(error.param)},
                            {"code", optional(error.code)}};
  return dump({{"error", body}});
}

Response error_response(const ApiError& error) {
  Response response{.status = error.status, .body = error_json(error)};
  if (error.status == 429 || error.status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

}  // namespace hearth::serve
