// Refusals: OpenAI's error objects, and the one place where failures become HTTP statuses.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "serve/http/message.h"

namespace hearth::serve {

struct ApiError {
  int status = 400;
  std::string type = "invalid_request_error";
  std::string message = {};
  std::optional<std::string> param = {};  // the field that is wrong
  std::optional<std::string> code = {};
};

// A request that is wrong in the field `param`.
ApiError bad_request(std::string message, std::optional<std::string> param = {});
// Any failure, by docs/http.md's table of statuses.
ApiError api_error(const Error& error);

// {"error": {"message", "type", "param", "code"}}
std::string error_json(const ApiError& error);
Response error_response(const ApiError& error);

}  // namespace hearth::serve
