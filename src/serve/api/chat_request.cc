#include "serve/api/chat_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <random>

#include "serve/api/fields.h"

namespace hearth::serve {
namespace {

constexpr size_t kStopsMax = 16;
constexpr size_t kStopBytesMax = 1024;

// The text of one message's content. Parts of other kinds (images, audio, files) are refused.
std::string content_text(Fields& fields, const Json& content) {
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) {
    fields.fail("content", "must be a string or an array of parts, not " + kind_of(content));
    return "";
  }
  std::string text;
  for (const Json& part : content) {
    const auto type = part.is_object() ? part.find("type") : part.end();
    if (!part.is_object() || type == part.end() || !type->is_string()) {
      fields.fail("content", "must have parts that are objects with a type");
      return "";
    }
    const std::string& kind = type->get_ref<const std::string&>();
    if (kind != "text") {
      fields.fail("content",
                  "has a part of type '" + kind.substr(0, 40) + "'; only text parts are supported");
      return "";
    }
    const auto found = part.find("text");
    if (found == part.end() || !found->is_string()) {
      fields.fail("content", "has a text part without text");
      return "";
    }
    text += found->get_ref<const std::string&>();
  }
  return text;
}

// The message as templates take it: a role they know, and text. Null when refused.
OrderedJson parse_message(Fields& fields) {
  static constexpr std::array<std::string_view, 4> kRoles = {"system", "developer", "user",
                                                             "assistant"};
  std::string role = fields.required_string("role");
  if (fields.error().has_value()) return nullptr;
  if (role == "tool" || role == "function") {
    fields.fail("role", "is '" + role + "', and tools are not supported");
    return nullptr;
  }
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    fields.fail("role", "must be system, developer, user or assistant");
    return nullptr;
  }
  for (const char* name : {"tool_calls", "function_call", "audio"}) {
    const Json* value = fields.find(name);
    if (value != nullptr && !value->empty()) fields.fail(name, "is not supported");
  }
  const Json* content = fields.find("content");
  if (content == nullptr && role != "assistant") fields.fail("content", "is required");
  std::string text = content == nullptr ? "" : content_text(fields, *content);
  if (fields.error().has_value()) return nullptr;
  if (role == "developer") role = "system";
  return {{"role", role}, {"content", std::move(text)}};
}

std::string parse_messages(Fields& fields, std::optional<ApiError>& error) {
  const Json* messages = fields.find("messages");
  if (messages == nullptr) {
    fields.fail("messages", "is required");
  } else if (!messages->is_array()) {
    fields.fail("messages", "must be an array, not " + kind_of(*messages));
  } else if (messages->empty()) {
    fields.fail("messages", "must not be empty");
  }
  if (fields.error().has_value()) return "";
  OrderedJson parsed = OrderedJson::array();
  for (size_t i = 0; i < messages->size(); ++i) {
    const Json& message = (*messages)[i];
    if (!message.is_object()) {
      fields.fail(fmt::format("messages[{}]", i), "must be an object, not " + kind_of(message));
      return "";
    }
    Fields message_fields(message, fmt::format("messages[{}].", i));
    parsed.push_back(parse_message(message_fields));
    if (message_fields.error().has_value()) {
      error = message_fields.error();
      return "";
    }
  }
  return dump(parsed);
}

std::vector<std::string> parse_stop(Fields& fields) {
  const Json* stop = fields.find("stop");
  if (stop == nullptr) return {};
  const Json list = stop->is_string() ? Json::array({*stop}) : *stop;
  if (!list.is_array()) {
    fields.fail("stop", "must be a string or an array of strings, not " + kind_of(list));
    return {};
  }
  if (list.size() > kStopsMax) {
    fields.fail("stop", fmt::format("must not have more than {} strings", kStopsMax));
    return {};
  }
  std::vector<std::string> stops;
  for (const Json& entry : list) {
    const bool fits = entry.is_string() && !entry.get_ref<const std::string&>().empty() &&
                      entry.get_ref<const std::string&>().size() <= kStopBytesMax;
    if (!fits) {
      fields.fail("stop", fmt::format("must have strings of 1 to {} bytes", kStopBytesMax));
      return {};
    }
    stops.push_back(entry.get<std::string>());
  }
  return stops;
}

int parse_max_tokens(Fields& fields) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  const auto old_name = fields.integer("max_tokens", 1, kMost);
  const auto new_name = fields.integer("max_completion_tokens", 1, kMost);
  if (old_name.has_value() && new_name.has_value() && *old_name != *new_name) {
    fields.fail("max_tokens", "and 'max_completion_tokens' differ; give one of them");
  }
  const int64_t tokens = new_name.value_or(old_name.value_or(0));
  return static_cast<int>(std::min<int64_t>(tokens, std::numeric_limits<int>::max()));
}

uint64_t parse_seed(Fields& fields) {
  const Json* seed = fields.find("seed");
  if (seed != nullptr && seed->is_number_unsigned()) return seed->get<uint64_t>();
  const auto given = fields.integer("seed", std::numeric_limits<int64_t>::min(),
                                    std::numeric_limits<int64_t>::max());
  if (given.has_value()) return static_cast<uint64_t>(*given);
  std::random_device random;
  return (static_cast<uint64_t>(random()) << 32) | random();
}

engine::SamplingParams parse_sampling(Fields& fields) {
  engine::SamplingParams sampling;
  sampling.temperature = fields.number("temperature", 1.0f, 0.0f, 2.0f);
  sampling.top_p = fields.number("top_p", 1.0f, 0.0f, 1.0f);
  // Some clients say -1 for "off".
  const auto top_k = fields.integer("top_k", -1, std::numeric_limits<int>::max());
  sampling.top_k = static_cast<int>(std::max<int64_t>(top_k.value_or(0), 0));
  sampling.min_p = fields.number("min_p", 0.0f, 0.0f, 1.0f);
  sampling.repetition_penalty = fields.number("repetition_penalty", 1.0f, 0.01f, 10.0f);
  sampling.presence_penalty = fields.number("presence_penalty", 0.0f, -2.0f, 2.0f);
  sampling.frequency_penalty = fields.number("frequency_penalty", 0.0f, -2.0f, 2.0f);
  sampling.seed = parse_seed(fields);
  return sampling;
}

void parse_stream(Fields& fields, ChatRequest& request, std::optional<ApiError>& error) {
  request.stream = fields.boolean("stream", false);
  const Json* options = fields.find("stream_options");
  if (options == nullptr) return;
  if (!options->is_object()) {
    fields.fail("stream_options", "must be an object, not " + kind_of(*options));
  } else if (!request.stream) {
    fields.fail("stream_options", "is only allowed when 'stream' is true");
  } else {
    Fields inner(*options, "stream_options.");
    request.include_usage = inner.boolean("include_usage", false);
    error = inner.error();
  }
}

// Refuses what would change the answer, unless it asks for what happens anyway.
void refuse_unsupported(Fields& fields) {
  static const Json kHarmless = Json::parse(R"({
      "n": [1],
      "tools": [[]],
      "tool_choice": ["none", "auto"],
      "functions": [[]],
      "function_call": ["none", "auto"],
      "response_format": [{"type": "text"}],
      "logprobs": [false],
      "top_logprobs": [0],
      "logit_bias": [{}],
      "modalities": [["text"]],
      "audio": [],
      "web_search_options": [],
      "reasoning_effort": [],
      "verbosity": ["medium"]})");
  for (const auto& [name, harmless] : kHarmless.items()) {
    const Json* value = fields.find(name);
    if (value == nullptr) continue;
    if (std::find(harmless.begin(), harmless.end(), *value) == harmless.end()) {
      fields.fail(name, "is not supported");
    }
  }
}

}  // namespace

Parsed<ChatRequest> parse_chat_request(std::string_view body) {
  Parsed<Json> parsed = parse_object(body);
  if (const ApiError* error = std::get_if<ApiError>(&parsed)) return *error;
  Fields fields(std::get<Json>(parsed));
  std::optional<ApiError> inner_error;
  ChatRequest request;
  request.model = fields.required_string("model");
  request.generate.prompt = runtime::ChatPrompt{parse_messages(fields, inner_error)};
  if (fields.error().has_value()) return *fields.error();
  if (inner_error.has_value()) return *inner_error;
  refuse_unsupported(fields);
  parse_stream(fields, request, inner_error);
  request.generate.sampling = parse_sampling(fields);
  request.generate.max_tokens = parse_max_tokens(fields);
  request.generate.stop = parse_stop(fields);
  if (fields.error().has_value()) return *fields.error();
  if (inner_error.has_value()) return *inner_error;
  return request;
}

}  // namespace hearth::serve
