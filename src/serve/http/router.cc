#include "serve/http/router.h"

#include <optional>

#include "serve/api/errors.h"

namespace hearth::serve {
namespace {

// What "*" stands for (empty without one), or nothing when `path` does not match.
std::optional<std::string> match(std::string_view pattern, std::string_view path) {
  if (!pattern.ends_with("/*")) {
    return path == pattern ? std::optional<std::string>("") : std::nullopt;
  }
  pattern.remove_suffix(1);
  if (!path.starts_with(pattern) || path.size() == pattern.size()) return std::nullopt;
  return std::string(path.substr(pattern.size()));
}

}  // namespace

void Router::add(std::string_view method, std::string_view pattern, Handler handler) {
  routes_.push_back({std::string(method), std::string(pattern), std::move(handler)});
}

Answer Router::route(const Request& request) const {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  std::string allowed;
  for (const Route& route : routes_) {
    const std::optional<std::string> argument = match(route.pattern, request.path);
    if (!argument.has_value()) continue;
    if (route.method == method) return route.handler(request, *argument);
    if (!allowed.empty()) allowed += ", ";
    allowed += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  if (allowed.empty()) {
    return error_response({.status = 404,
                           .type = "not_found_error",
                           .message = "there is no " + request.path.substr(0, 200)});
  }
  if (method == "OPTIONS") return Response{.status = 204, .headers = {{"Allow", allowed}}};
  Response refusal = error_response({.status = 405,
                                     .type = "invalid_request_error",
                                     .message = request.path.substr(0, 200) + " takes " + allowed +
                                                ", not " + request.method.substr(0, 20)});
  refusal.headers.emplace_back("Allow", allowed);
  return refusal;
}

}  // namespace hearth::serve
