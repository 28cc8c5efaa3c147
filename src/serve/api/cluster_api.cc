#include "serve/api/cluster_api.h"

#include "base/ids.h"
#include "base/limits.h"
#include "serve/api/errors.h"
#include "serve/api/fields.h"
#include "serve/api/json.h"
#include "serve/api/state_events.h"
#include "serve/backend.h"

namespace hearth::serve {
namespace {

Answer json_or_error(Result<std::string> json) {
  if (!json.ok()) return error_response(api_error(json.error()));
  return Response{.body = std::move(*json)};
}

// What exo answers to commands.
Response command_response(const std::string& message, const std::string& instance_id) {
  return {.body = dump(
              {{"message", message}, {"command_id", random_hex(8)}, {"instance_id", instance_id}})};
}

// "Pipeline", "Tensor" (exo's words) or "Auto", as PlaceRequest::sharding; nothing for others.
std::optional<std::string> sharding_of(const std::string& word) {
  if (word == "Auto") return "auto";
  if (word == "Pipeline") return "pipeline";
  if (word == "Tensor") return "tensor";
  return std::nullopt;
}

Answer place(Backend& backend, const Request& request) {
  Parsed<Json> parsed = parse_object(request.body);
  if (const ApiError* error = std::get_if<ApiError>(&parsed)) return error_response(*error);
  Fields fields(std::get<Json>(parsed));
  PlaceRequest place;
  place.model_id = fields.required_string("model_id");
  place.min_nodes = static_cast<int>(fields.integer("min_nodes", 1, limits::kRanksMax).value_or(1));
  if (const Json* sharding = fields.find("sharding"); sharding != nullptr) {
    const auto known = sharding_of(sharding->is_string() ? sharding->get<std::string>() : "");
    if (known) place.sharding = *known;
    if (!known) fields.fail("sharding", "must be 'Auto', 'Pipeline' or 'Tensor'");
  }
  if (const Json* kv = fields.find("kv"); kv != nullptr) {
    if (kv->is_string()) place.kv = kv->get<std::string>();
    if (!kv->is_string()) fields.fail("kv", "must be a string");
  }
  if (fields.error().has_value()) return error_response(*fields.error());
  const Result<std::string> id = backend.place_instance(place);
  if (!id.ok()) return error_response(api_error(id.error()));
  return command_response("placing " + place.model_id, *id);
}

Answer previews(Backend& backend, const Request& request) {
  const auto model = request.query.find("model_id");
  if (model == request.query.end() || model->second.empty()) {
    return error_response(bad_request("'model_id' is required", "model_id"));
  }
  const auto word = request.query.find("sharding");
  const auto sharding = sharding_of(word == request.query.end() ? "Auto" : word->second);
  if (!sharding) {
    return error_response(
        bad_request("'sharding' must be 'Auto', 'Pipeline' or 'Tensor'", "sharding"));
  }
  const auto kv = request.query.find("kv");
  return json_or_error(backend.previews_json({.model_id = model->second,
                                              .sharding = *sharding,
                                              .kv = kv == request.query.end() ? "" : kv->second}));
}

Answer remove(Backend& backend, const std::string& id) {
  const Result<void> removed = backend.delete_instance(id);
  if (!removed.ok()) return error_response(api_error(removed.error()));
  return command_response("deleting instance " + id, id);
}

}  // namespace

void add_cluster_routes(Router& router, Backend& backend, const ServerOptions& options) {
  using Id = const std::string&;
  router.add("GET", "/health",
             [&](const Request&, Id) { return Response{.body = backend.health_json()}; });
  router.add("GET", "/node_id",
             [&](const Request&, Id) { return Response{.body = dump(backend.device_id())}; });
  router.add("GET", "/state",
             [&](const Request&, Id) { return Response{.body = backend.state_json()}; });
  router.add("GET", "/events", [&backend, options](const Request&, Id) {
    return make_state_events(backend, options.events_interval, options.events_keep_alive);
  });
  router.add("POST", "/place_instance",
             [&](const Request& request, Id) { return place(backend, request); });
  router.add("GET", "/instance/previews",
             [&](const Request& request, Id) { return previews(backend, request); });
  router.add("GET", "/instance/*",
             [&](const Request&, Id id) { return json_or_error(backend.instance_json(id)); });
  router.add("DELETE", "/instance/*", [&](const Request&, Id id) { return remove(backend, id); });
}

}  // namespace hearth::serve
