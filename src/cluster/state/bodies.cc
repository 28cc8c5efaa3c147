#include "cluster/state/bodies.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "base/units.h"

namespace hearth::cluster {
namespace {

using nlohmann::json;

constexpr size_t kTextBytesMax = 512;
constexpr size_t kMessageBytesMax = 2048;
constexpr size_t kAddressesPerDeviceMax = 32;
constexpr size_t kRunnersPerDeviceMax = 4 * limits::kInstancesMax;
constexpr int64_t kBytesMax = int64_t{1} << 50;
constexpr int64_t kTimeMax = int64_t{1} << 53;
constexpr int64_t kLayersMax = 1024;
constexpr size_t kKvTypesMax = 16;
constexpr size_t kLinksPerDeviceMax = 1024;
constexpr size_t kTransportsMax = 16;
constexpr int64_t kRateMax = int64_t{1} << 60;
constexpr int64_t kSharesMax = 1'000'000;
constexpr int64_t kPartTimeMax = 3'600'000'000'000;  // nanoseconds of a token in a layer

std::string dump(const json& value) {
  // Names and error texts may hold any bytes; a document is UTF-8.
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string cut(const std::string& text, size_t bytes_max = kTextBytesMax) {
  return text.substr(0, bytes_max);
}

// Reads fields of one object and remembers whether one was wrong.
class Fields {
 public:
  explicit Fields(const json& object) : object_(object), good_(object.is_object()) {}

  std::string text(const char* name, size_t bytes_max = kTextBytesMax) {
    const json* value = find(name);
    if (value == nullptr) return "";
    // Cut texts may have grown: a byte that was not UTF-8 became three.
    if (!value->is_string() || value->get_ref<const std::string&>().size() > 3 * bytes_max) {
      good_ = false;
      return "";
    }
    return value->get<std::string>();
  }

  int64_t number(const char* name, int64_t max) {
    const json* value = find(name);
    return value == nullptr ? 0 : checked(*value, max);
  }

  std::map<std::string, int64_t> numbers(const char* name, size_t size_max, int64_t max) {
    std::map<std::string, int64_t> numbers;
    for (const auto& [key, number] : object(name, size_max).items()) {
      numbers[cut(key)] = checked(number, max);
    }
    return numbers;
  }

  const json& object(const char* name, size_t size_max) {
    static const json kEmpty = json::object();
    const json* value = find(name);
    if (value == nullptr) return kEmpty;
    if (!value->is_object() || value->size() > size_max) {
      good_ = false;
      return kEmpty;
    }
    return *value;
  }

  std::vector<int64_t> integers(const char* name, size_t size_max, int64_t max) {
    std::vector<int64_t> numbers;
    for (const json& number : list(name, size_max)) numbers.push_back(checked(number, max));
    return numbers;
  }

  const json& list(const char* name, size_t size_max) {
    static const json kEmpty = json::array();
    const json* value = find(name);
    if (value == nullptr) return kEmpty;
    if (!value->is_array() || value->size() > size_max) {
      good_ = false;
      return kEmpty;
    }
    return *value;
  }

  std::vector<std::string> texts(const char* name, size_t size_max) {
    std::vector<std::string> texts;
    for (const json& text : list(name, size_max)) {
      if (!text.is_string() || text.get_ref<const std::string&>().size() > kTextBytesMax) {
        good_ = false;
        return {};
      }
      texts.push_back(text);
    }
    return texts;
  }

  bool good() const { return good_; }

 private:
  // From 0 to `max`.
  int64_t checked(const json& value, int64_t max) {
    if (value.is_number_integer() && value >= 0 && value <= max) return value.get<int64_t>();
    good_ = false;
    return 0;
  }

  // Absent fields keep their default, so that older devices stay readable.
  const json* find(const char* name) {
    if (!good_) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  const json& object_;
  bool good_;
};

Error corrupt(std::string_view what, const std::string& id) {
  return Error(Code::kCorrupt, fmt::format("the {} document of {:.16} is damaged", what, id));
}

json times_to_json(const std::map<std::string, TokenTimes>& all) {
  json values = json::object();
  for (const auto& [kv, times] : all) {
    if (values.size() == kKvTypesMax) break;
    values[cut(kv)] = {{"layers_ns", times.layers_ns},
                       {"embedding_ns", times.embedding_ns},
                       {"head_ns", times.head_ns}};
  }
  return values;
}

bool times_from_json(const json& value, TokenTimes& times) {
  Fields fields(value);
  times.layers_ns = fields.integers("layers_ns", kLayersMax, kPartTimeMax);
  times.embedding_ns = fields.number("embedding_ns", kPartTimeMax);
  times.head_ns = fields.number("head_ns", kPartTimeMax);
  return fields.good();
}

json model_to_json(const ModelFacts& model) {
  return {{"id", cut(model.id)},
          {"name", cut(model.name)},
          {"architecture", cut(model.architecture)},
          {"encoding", cut(model.encoding)},
          {"layers", model.layers},
          {"context", model.context},
          {"layer_bytes", model.layer_bytes},
          {"embedding_bytes", model.embedding_bytes},
          {"head_bytes", model.head_bytes},
          {"kv_layer_bytes", model.kv_layer_bytes},
          {"file_bytes", model.file_bytes},
          {"token_bytes", model.token_bytes},
          {"token_multiply_adds", model.token_multiply_adds},
          {"hidden", model.hidden},
          {"kv_heads", model.kv_heads},
          {"slices_max", model.slices_max},
          {"token_times", times_to_json(model.token_times)}};
}

bool model_from_json(const json& value, ModelFacts& model) {
  Fields fields(value);
  model.id = fields.text("id");
  model.name = fields.text("name");
  model.architecture = fields.text("architecture");
  model.encoding = fields.text("encoding");
  model.layers = static_cast<int>(fields.number("layers", kLayersMax));
  model.context = static_cast<int>(fields.number("context", INT32_MAX));
  model.layer_bytes = fields.number("layer_bytes", kBytesMax / kLayersMax);
  model.embedding_bytes = fields.number("embedding_bytes", kBytesMax);
  model.head_bytes = fields.number("head_bytes", kBytesMax);
  model.kv_layer_bytes = fields.numbers("kv_layer_bytes", kKvTypesMax, kBytesMax / kLayersMax);
  model.file_bytes = fields.number("file_bytes", kBytesMax);
  model.token_bytes = fields.number("token_bytes", kBytesMax);
  model.token_multiply_adds = fields.number("token_multiply_adds", kRateMax);
  model.hidden = static_cast<int>(fields.number("hidden", INT32_MAX));
  model.kv_heads = static_cast<int>(fields.number("kv_heads", INT32_MAX));
  model.slices_max = static_cast<int>(std::max<int64_t>(1, fields.number("slices_max", INT32_MAX)));
  for (const auto& [kv, times] : fields.object("token_times", kKvTypesMax).items()) {
    if (!times_from_json(times, model.token_times[cut(kv)])) return false;
  }
  return fields.good() && !model.id.empty();
}

json link_to_json(const LinkFacts& link) {
  return {{"to", link.to.str()},
          {"host", cut(link.host)},
          {"local_host", cut(link.local_host)},
          {"interface", cut(link.interface)},
          {"kind", cut(link.kind)},
          {"rdma_ports", cut(link.rdma_ports)},
          {"latency_ns", link.latency_ns},
          {"bits_per_second", link.bits_per_second},
          {"error", cut(link.error)}};
}

bool link_from_json(const json& value, LinkFacts& link) {
  Fields fields(value);
  link.to = DeviceId(fields.text("to"));
  link.host = fields.text("host");
  link.local_host = fields.text("local_host");
  link.interface = fields.text("interface");
  link.kind = fields.text("kind");
  link.rdma_ports = fields.text("rdma_ports");
  link.latency_ns = fields.number("latency_ns", kTimeMax);
  link.bits_per_second = fields.number("bits_per_second", kRateMax);
  link.error = fields.text("error");
  return fields.good() && !link.to.empty();
}

bool rank_from_json(const json& value, RankPlan& rank) {
  Fields fields(value);
  rank.device = DeviceId(fields.text("device"));
  rank.layer_begin = static_cast<int>(fields.number("layer_begin", kLayersMax));
  rank.layer_end = static_cast<int>(fields.number("layer_end", kLayersMax));
  rank.memory_bytes = fields.number("memory_bytes", kBytesMax * 2);
  rank.share = static_cast<int>(std::max<int64_t>(1, fields.number("share", kSharesMax)));
  if (std::string wire = fields.text("wire"); !wire.empty()) rank.wire = std::move(wire);
  return fields.good() && !rank.device.empty() && rank.layer_begin < rank.layer_end;
}

bool runner_from_json(const json& value, RunnerView& runner) {
  Fields fields(value);
  runner.instance = InstanceId(fields.text("instance"));
  runner.epoch = fields.number("epoch", kTimeMax);
  runner.rank = static_cast<int>(fields.number("rank", limits::kRanksMax - 1));
  runner.status = static_cast<RunnerStatus>(
      fields.number("status", static_cast<int64_t>(RunnerStatus::kFailed)));
  runner.layers_loaded = static_cast<int>(fields.number("layers_loaded", kLayersMax));
  runner.layers_total = static_cast<int>(fields.number("layers_total", kLayersMax));
  runner.rendezvous_port = static_cast<int>(fields.number("rendezvous_port", 65535));
  runner.error = fields.text("error", kMessageBytesMax);
  return fields.good() && !runner.instance.empty();
}

// Ranks that share a stage follow each other and have the same layers.
bool is_grid(const Plan& plan) {
  if (plan.slices < 1 || plan.ranks.size() % static_cast<size_t>(plan.slices) != 0) return false;
  for (size_t i = 0; i < plan.ranks.size(); ++i) {
    const RankPlan& first = plan.ranks[i - i % static_cast<size_t>(plan.slices)];
    if (plan.ranks[i].layer_begin != first.layer_begin ||
        plan.ranks[i].layer_end != first.layer_end) {
      return false;
    }
  }
  return true;
}

// Never throws; a damaged body gives a discarded value, which is no object.
json parse(const std::string& body) { return json::parse(body, nullptr, false); }

}  // namespace

std::string encode(const DeviceFacts& facts) {
  json models = json::array();
  for (const ModelFacts& model : facts.models) {
    if (models.size() < limits::kModelsPerDeviceMax) models.push_back(model_to_json(model));
  }
  json addresses = json::array();
  for (const std::string& address : facts.addresses) {
    if (addresses.size() < kAddressesPerDeviceMax) addresses.push_back(cut(address));
  }
  json transports = json::array();
  for (const std::string& transport : facts.transports) {
    if (transports.size() < kTransportsMax) transports.push_back(cut(transport));
  }
  json links = json::array();
  for (const LinkFacts& link : facts.links) {
    if (links.size() < kLinksPerDeviceMax) links.push_back(link_to_json(link));
  }
  json value = {{"name", cut(facts.name)},
                {"model", cut(facts.model)},
                {"chip", cut(facts.chip)},
                {"os", cut(facts.os)},
                {"version", cut(facts.version)},
                {"cores", facts.cores},
                {"memory_total_bytes", facts.memory_total_bytes},
                {"memory_available_bytes", facts.memory_available_bytes},
                {"addresses", std::move(addresses)},
                {"joined_unix_ms", facts.joined_unix_ms},
                {"models", std::move(models)},
                {"memory_bytes_per_second", facts.memory_bytes_per_second},
                {"multiply_adds_per_second", facts.multiply_adds_per_second},
                {"transports", std::move(transports)},
                {"links", std::move(links)}};
  std::string body = dump(value);
  while (body.size() > static_cast<size_t>(limits::kDocumentBytesMax)) {
    json& list = value[value["models"].size() > value["links"].size() ? "models" : "links"];
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(list.size() / 2), list.end());
    body = dump(value);
  }
  return body;
}

std::string encode(const std::vector<RunnerView>& runners) {
  json list = json::array();
  for (const RunnerView& runner : runners) {
    if (list.size() >= kRunnersPerDeviceMax) break;
    list.push_back({{"instance", runner.instance.str()},
                    {"epoch", runner.epoch},
                    {"rank", runner.rank},
                    {"status", static_cast<int>(runner.status)},
                    {"layers_loaded", runner.layers_loaded},
                    {"layers_total", runner.layers_total},
                    {"rendezvous_port", runner.rendezvous_port},
                    {"error", cut(runner.error, kMessageBytesMax)}});
  }
  return dump({{"runners", std::move(list)}});
}

std::string encode(const InstanceView& instance) {
  json ranks = json::array();
  for (const RankPlan& rank : instance.plan.ranks) {
    ranks.push_back({{"device", rank.device.str()},
                     {"layer_begin", rank.layer_begin},
                     {"layer_end", rank.layer_end},
                     {"memory_bytes", rank.memory_bytes},
                     {"share", rank.share},
                     {"wire", cut(rank.wire)}});
  }
  return dump({{"model", cut(instance.model)},
               {"min_devices", instance.min_devices},
               {"kv", cut(instance.kv)},
               {"sharding", cut(instance.sharding)},
               {"created_unix_ms", instance.created_unix_ms},
               {"epoch", instance.plan.epoch},
               {"token", instance.plan.token},
               {"ranks", std::move(ranks)},
               {"slices", instance.plan.slices},
               {"cut_by", cut(instance.plan.cut_by)},
               {"token_ns", instance.plan.token_ns},
               {"first_token_ns", instance.plan.first_token_ns},
               {"message", cut(instance.message, kMessageBytesMax)},
               {"failures", instance.failures}});
}

Result<DeviceFacts> decode_facts(const DeviceId& id, const std::string& body) {
  const json value = parse(body);
  Fields fields(value);
  DeviceFacts facts;
  facts.id = id;
  facts.name = fields.text("name");
  facts.model = fields.text("model");
  facts.chip = fields.text("chip");
  facts.os = fields.text("os");
  facts.version = fields.text("version");
  facts.cores = static_cast<int>(fields.number("cores", 1 << 20));
  facts.memory_total_bytes = fields.number("memory_total_bytes", kBytesMax);
  facts.memory_available_bytes = fields.number("memory_available_bytes", kBytesMax);
  facts.joined_unix_ms = fields.number("joined_unix_ms", kTimeMax);
  facts.addresses = fields.texts("addresses", kAddressesPerDeviceMax);
  for (const json& model : fields.list("models", limits::kModelsPerDeviceMax)) {
    if (!model_from_json(model, facts.models.emplace_back())) return corrupt("device", id.str());
  }
  facts.memory_bytes_per_second = fields.number("memory_bytes_per_second", kRateMax);
  facts.multiply_adds_per_second = fields.number("multiply_adds_per_second", kRateMax);
  facts.transports = fields.texts("transports", kTransportsMax);
  for (const json& link : fields.list("links", kLinksPerDeviceMax)) {
    if (!link_from_json(link, facts.links.emplace_back())) return corrupt("device", id.str());
  }
  if (!fields.good()) return corrupt("device", id.str());
  return facts;
}

Result<std::vector<RunnerView>> decode_runners(const DeviceId& id, const std::string& body) {
  const json value = parse(body);
  Fields fields(value);
  std::vector<RunnerView> runners;
  for (const json& item : fields.list("runners", kRunnersPerDeviceMax)) {
    RunnerView& runner = runners.emplace_back();
    runner.device = id;
    if (!runner_from_json(item, runner)) return corrupt("runners", id.str());
  }
  if (!fields.good()) return corrupt("runners", id.str());
  return runners;
}

Result<InstanceView> decode_instance(const InstanceId& id, const std::string& body) {
  const json value = parse(body);
  Fields fields(value);
  InstanceView instance;
  instance.id = id;
  instance.model = fields.text("model");
  instance.min_devices = static_cast<int>(fields.number("min_devices", limits::kRanksMax));
  if (std::string kv = fields.text("kv"); !kv.empty()) instance.kv = std::move(kv);
  if (std::string how = fields.text("sharding"); !how.empty()) instance.sharding = std::move(how);
  instance.created_unix_ms = fields.number("created_unix_ms", kTimeMax);
  instance.plan.epoch = fields.number("epoch", kTimeMax);
  instance.plan.token = fields.text("token");
  for (const json& item : fields.list("ranks", limits::kRanksMax)) {
    if (!rank_from_json(item, instance.plan.ranks.emplace_back())) {
      return corrupt("instance", id.str());
    }
  }
  Plan& plan = instance.plan;
  plan.slices = static_cast<int>(std::max<int64_t>(1, fields.number("slices", limits::kRanksMax)));
  plan.cut_by = fields.text("cut_by");
  plan.token_ns = fields.number("token_ns", kTimeMax);
  plan.first_token_ns = fields.number("first_token_ns", kTimeMax);
  instance.message = fields.text("message", kMessageBytesMax);
  instance.failures = static_cast<int>(fields.number("failures", 1'000'000));
  if (!fields.good() || !is_grid(plan)) return corrupt("instance", id.str());
  return instance;
}

}  // namespace hearth::cluster
