#include "serve/api/openai.h"

#include "serve/api/chat_request.h"
#include "serve/api/errors.h"
#include "serve/api/json.h"
#include "serve/backend.h"

namespace hearth::serve {
namespace {

OrderedJson model_json(const ModelCard& card) {
  return {{"id", card.id},
          {"object", "model"},
          {"created", 0},
          {"owned_by", "hearth"},
          {"name", card.name},
          {"description", card.description},
          {"storage_size_bytes", card.storage_bytes},
          {"context_length", card.context_length},
          {"layers", card.layers},
          {"architecture", card.architecture},
          {"encoding", card.encoding},
          {"running", card.running},
          {"devices", card.devices}};
}

Answer list_models(Backend& backend) {
  OrderedJson data = OrderedJson::array();
  for (const ModelCard& card : backend.models()) data.push_back(model_json(card));
  return Response{.body = dump({{"object", "list"}, {"data", std::move(data)}})};
}

ApiError model_error(const Error& error) {
  ApiError refusal = api_error(error);
  if (error.code() == Code::kNotFound) {
    refusal.param = "model";
    refusal.code = "model_not_found";
  }
  return refusal;
}

Answer get_model(Backend& backend, const std::string& id) {
  for (const ModelCard& card : backend.models()) {
    if (card.id == id) return Response{.body = dump(model_json(card))};
  }
  const std::string message = "there is no model '" + id.substr(0, 200) + "'";
  return error_response(model_error(Error(Code::kNotFound, message)));
}

Answer complete_chat(Backend& backend, const ChatSourceOptions& options, const Request& request) {
  Parsed<ChatRequest> parsed = parse_chat_request(request.body);
  if (const ApiError* error = std::get_if<ApiError>(&parsed)) return error_response(*error);
  ChatRequest chat = std::get<ChatRequest>(std::move(parsed));
  Result<std::shared_ptr<runtime::Generator>> generator = backend.generator(chat.model);
  if (!generator.ok()) return error_response(model_error(generator.error()));
  return make_chat_source(std::move(*generator), std::move(chat), options);
}

}  // namespace

void add_openai_routes(Router& router, Backend& backend, const ChatSourceOptions& options) {
  router.add("GET", "/v1/models",
             [&backend](const Request&, const std::string&) { return list_models(backend); });
  router.add("GET", "/v1/models/*",
             [&backend](const Request&, const std::string& id) { return get_model(backend, id); });
  router.add("POST", "/v1/chat/completions",
             [&backend, options](const Request& request, const std::string&) {
               return complete_chat(backend, options, request);
             });
}

}  // namespace hearth::serve
