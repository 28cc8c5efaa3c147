#include "chat/jinja/from_json.h"

#include <limits>
#include <nlohmann/json.hpp>

namespace hearth::chat::jinja {
namespace {

using Json = nlohmann::ordered_json;

Result<Value> convert(Context& context, const Json& json, int depth) {
  if (depth > kValueDepthMax) {
    return Error(Code::kInvalidArgument, "the template's variables are nested deeper than " +
                                             std::to_string(kValueDepthMax) + " levels");
  }
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value(json.get<bool>());
    case Json::value_t::number_integer:
      return Value(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return Value(static_cast<int64_t>(number));
      }
      return Value(static_cast<double>(number));
    }
    case Json::value_t::number_float:
      return Value(json.get<double>());
    case Json::value_t::string:
      return context.string(json.get_ref<const std::string&>());
    case Json::value_t::array: {
      std::vector<Value> items;
      items.reserve(json.size());
      for (const Json& element : json) {
        HEARTH_TRY(Value item, convert(context, element, depth + 1));
        items.push_back(std::move(item));
      }
      return context.list(std::move(items));
    }
    case Json::value_t::object: {
      HEARTH_TRY(Dict * dict, context.dict());
      for (const auto& [key, element] : json.items()) {
        HEARTH_TRY(const Value name, context.string(key));
        HEARTH_TRY(Value value, convert(context, element, depth + 1));
        HEARTH_RETURN_IF_ERROR(context.set(*dict, name, std::move(value)));
      }
      return Value(dict);
    }
    default:
      return Value(None{});
  }
}

}  // namespace

Result<Value> from_json(Context& context, const Json& json) { return convert(context, json, 0); }

}  // namespace hearth::chat::jinja
