#include "daemon/state_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hearth::daemon {
namespace {

using cluster::ClusterView;
using cluster::DeviceStatus;
using cluster::RunnerStatus;
using nlohmann::json;

const DeviceId kSelf("aaaa");
const DeviceId kOther("bbbb");
const InstanceId kInstance("i1");
constexpr int64_t kNow = 1767323045'000;  // 2026-01-02T03:04:05Z

cluster::ModelFacts ember() {
  return {.id = "ember",
          .name = "Ember",
          .architecture = "llama",
          .encoding = "BF16",
          .layers = 6,
          .context = 512,
          .layer_bytes = 1'000'000,
          .embedding_bytes = 300'000,
          .head_bytes = 300'000,
          .kv_layer_bytes = {{"q16", 200'000}, {"q8", 100'000}}};
}

cluster::DeviceView device(const DeviceId& id, const std::string& name,
                           const std::string& address) {
  cluster::DeviceView device;
  device.facts = {.id = id,
                  .name = name,
                  .model = "Linux x86_64",
                  .chip = "Chip",
                  .os = "Debian GNU/Linux 12 (bookworm)",
                  .version = "0.1.0",
                  .cores = 2,
                  .memory_total_bytes = 8'000'000'000,
                  .memory_available_bytes = 6'000'000'000,
                  .addresses = {address},
                  .joined_unix_ms = kNow,
                  .models = {ember()}};
  device.status = DeviceStatus::kOnline;
  return device;
}

// Two devices with Ember as two stages, both loading.
ClusterView cluster_of_two() {
  ClusterView view;
  view.cluster_name = "home";
  view.self = kSelf;
  view.coordinator = kOther;
  view.devices[kSelf] = device(kSelf, "studio", "10.0.0.1:52416");
  view.devices[kOther] = device(kOther, "attic", "10.0.0.2:52416");
  view.devices[kOther].reachable_at = "[fd00::2]:52416";
  view.devices[kOther].last_seen_ms_ago = 5000;
  cluster::InstanceView instance{.id = kInstance, .model = "ember", .min_devices = 2};
  instance.plan = {.epoch = 4,
                   .token = "secret",
                   .ranks = {{.device = kSelf, .layer_begin = 0, .layer_end = 4, .memory_bytes = 7},
                             {.device = kOther, .layer_begin = 4, .layer_end = 6}}};
  view.instances[kInstance] = instance;
  view.runners = {{.device = kSelf,
                   .instance = kInstance,
                   .epoch = 4,
                   .rank = 0,
                   .status = RunnerStatus::kLoading,
                   .layers_loaded = 1,
                   .layers_total = 4},
                  {.device = kOther,
                   .instance = kInstance,
                   .epoch = 4,
                   .rank = 1,
                   .status = RunnerStatus::kLoaded,
                   .layers_loaded = 2,
                   .layers_total = 2}};
  return view;
}

json state(const ClusterView& view) { return json::parse(state_json(view, kNow)); }

TEST(StateJson, DescribesDevices) {
  const json out = state(cluster_of_two());
  EXPECT_EQ(out["cluster"], json({{"name", "home"}, {"locked", false}, {"coordinator", "bbbb"}}));
  EXPECT_EQ(out["self"], "aaaa");
  EXPECT_EQ(out["topology"]["nodes"], json({"aaaa", "bbbb"}));
  EXPECT_EQ(out["nodeIdentities"]["bbbb"], json({{"friendlyName", "attic"},
                                                 {"modelId", "Linux x86_64"},
                                                 {"chipId", "Chip"},
                                                 {"osVersion", "Debian GNU/Linux 12 (bookworm)"},
                                                 {"cores", 2},
                                                 {"version", "0.1.0"}}));
  EXPECT_EQ(out["nodeMemory"]["aaaa"]["ramAvailable"]["inBytes"], 6'000'000'000);
  EXPECT_EQ(out["nodeStatus"]["bbbb"], json({{"status", "online"},
                                             {"addresses", {"10.0.0.2:52416"}},
                                             {"lastSeenMsAgo", 5000},
                                             {"joinedAt", "2026-01-02T03:04:05Z"},
                                             {"models", {"ember"}}}));
  EXPECT_EQ(out["lastSeen"]["bbbb"], "2026-01-02T03:04:00Z");
}

TEST(StateJson, ConnectsEveryPairOfDevicesThatAreThere) {
  ClusterView view = cluster_of_two();
  json connections = state(view)["topology"]["connections"];
  EXPECT_EQ(connections["aaaa"]["bbbb"][0]["sinkMultiaddr"], json({{"address", "[fd00::2]:52416"},
                                                                   {"address_type", "ip6"},
                                                                   {"ip_address", "fd00::2"},
                                                                   {"port", 52416}}));
  EXPECT_EQ(connections["bbbb"]["aaaa"][0]["sinkMultiaddr"]["ip_address"], "10.0.0.1");

  view.devices[kOther].status = DeviceStatus::kOffline;
  const json out = state(view);
  EXPECT_EQ(out["topology"]["nodes"], json({"aaaa"}));
  EXPECT_EQ(out["topology"]["connections"], json({{"aaaa", json::object()}}));
  EXPECT_EQ(out["nodeStatus"]["bbbb"]["status"], "offline");
}

TEST(StateJson, DescribesAnInstanceAndItsRunners) {
  const json out = state(cluster_of_two());
  const json& instance = out["instances"]["i1"];
  EXPECT_EQ(instance["modelId"], "ember");
  EXPECT_EQ(instance["status"], "loading");
  EXPECT_EQ(instance["statusMessage"], "3 of 6 layers loaded");
  EXPECT_EQ(instance["epoch"], 4);
  EXPECT_EQ(instance["minNodes"], 2);
  const json& assignments = instance["shardAssignments"];
  const std::string head = assignments["nodeToRunner"]["aaaa"];
  EXPECT_EQ(assignments["runnerToShard"][head]["PipelineShardMetadata"],
            json({{"deviceRank", 0},
                  {"worldSize", 2},
                  {"startLayer", 0},
                  {"endLayer", 4},
                  {"nLayers", 6},
                  {"memory", {{"inBytes", 7}}}}));
  EXPECT_EQ(out["runners"][head],
            json({{"RunnerLoading", {{"layersLoaded", 1}, {"totalLayers", 4}}}}));
  const std::string tail = assignments["nodeToRunner"]["bbbb"];
  EXPECT_EQ(out["runners"][tail], json({{"RunnerConnecting", json::object()}}));
}

TEST(StateJson, TellsOfLinksAndWhatCarriesThem) {
  ClusterView view = cluster_of_two();
  EXPECT_EQ(state(view)["links"], json({{"aaaa", json::array()}, {"bbbb", json::array()}}));
  view.devices[kSelf].facts.transports = view.devices[kOther].facts.transports = {"ucx", "tcp"};
  view.devices[kSelf].facts.links = {
      {.to = kOther, .host = "10.9.0.2", .error = "no route to host"},
      {.to = kOther,
       .host = "10.0.0.2",
       .local_host = "10.0.0.1",
       .interface = "eth0",
       .kind = "ethernet",
       .latency_ns = 21'500,
       .bits_per_second = 940'000'000}};
  const json links = state(view)["links"]["aaaa"];
  EXPECT_EQ(links[1], json({{"to", "bbbb"},
                            {"host", "10.0.0.2"},
                            {"localHost", "10.0.0.1"},
                            {"interface", "eth0"},
                            {"kind", "ethernet"},
                            {"rdmaPorts", ""},
                            {"latencyUs", 21.5},
                            {"bitsPerSecond", 940'000'000},
                            {"carriedBy", "ucx: tcp eth0"},
                            {"error", nullptr},
                            {"chosen", true}}));
  EXPECT_EQ(links[0]["error"], "no route to host");
  EXPECT_EQ(links[0]["chosen"], false);

  const json plan = state(view)["instances"]["i1"]["plan"];
  EXPECT_EQ(plan["stages"], 2);
  EXPECT_EQ(plan["ranks"][1]["startLayer"], 4);
  EXPECT_TRUE(plan["tokensPerSecond"].is_null());
  ASSERT_EQ(plan["links"].size(), 2u);
  EXPECT_EQ(plan["links"][0]["carries"], "hidden states");
  EXPECT_EQ(plan["links"][0]["link"]["host"], "10.0.0.2");
  EXPECT_EQ(plan["links"][1]["carries"], "tokens");
}

TEST(StateJson, SlicesAreTensorShards) {
  ClusterView view = cluster_of_two();
  cluster::Plan& plan = view.instances[kInstance].plan;
  plan.slices = 2;
  plan.token_ns = 50'000'000;
  plan.ranks[0].layer_end = 6;
  plan.ranks[1].layer_begin = 0;
  for (cluster::RunnerView& runner : view.runners) runner.layers_total = 6;
  view.runners[1].layers_loaded = 5;
  const json instance = state(view)["instances"]["i1"];
  EXPECT_EQ(instance["statusMessage"], "3 of 6 layers loaded");
  const std::string head = instance["shardAssignments"]["nodeToRunner"]["aaaa"];
  EXPECT_EQ(instance["shardAssignments"]["runnerToShard"][head]["TensorShardMetadata"]["endLayer"],
            6);
  EXPECT_EQ(instance["plan"]["slices"], 2);
  EXPECT_EQ(instance["plan"]["tokensPerSecond"], 20.0);
  EXPECT_EQ(instance["plan"]["ranks"][1]["slice"], 1);
  ASSERT_EQ(instance["plan"]["links"].size(), 1u);
  EXPECT_EQ(instance["plan"]["links"][0]["carries"], "sums");
}

TEST(StateJson, NeverShowsTheGroupsSecret) {
  EXPECT_EQ(state_json(cluster_of_two(), kNow).find("secret"), std::string::npos);
}

TEST(StateJson, TellsWhatAnInstanceIsDoing) {
  ClusterView view = cluster_of_two();
  const auto instance = [&view] { return state(view)["instances"]["i1"]; };

  for (auto& runner : view.runners) runner.status = RunnerStatus::kReady;
  EXPECT_EQ(instance()["status"], "ready");
  EXPECT_EQ(instance()["statusMessage"], "");

  view.runners[1].epoch = 3;  // what an older plan's runner says does not count
  EXPECT_EQ(instance()["status"], "loading");
  view.runners[1].epoch = 4;

  view.runners[1].status = RunnerStatus::kFailed;
  view.runners[1].error = "killed by signal 9";
  EXPECT_EQ(instance()["status"], "failed");
  EXPECT_EQ(instance()["statusMessage"], "attic: killed by signal 9");

  view.instances[kInstance].plan.ranks.clear();
  EXPECT_EQ(instance()["status"], "placing");
  EXPECT_EQ(instance()["shardAssignments"]["nodeToRunner"], json::object());

  view.instances[kInstance].message = "ember needs 2 devices and 1 is online";
  EXPECT_EQ(instance()["status"], "waiting");
  EXPECT_EQ(instance()["statusMessage"], "ember needs 2 devices and 1 is online");
  EXPECT_EQ(state(view)["runners"], json::object());
}

TEST(StateJson, SurvivesTextThatIsNotUtf8) {
  ClusterView view = cluster_of_two();
  view.devices[kOther].facts.name = "\xff";
  EXPECT_TRUE(state(view).is_object());
}

TEST(PreviewsJson, PlansForOneAndTwoDevices) {
  const json previews =
      json::parse(previews_json(cluster_of_two(), {.model = ember(), .kv = "q8"}))["previews"];
  ASSERT_EQ(previews.size(), 2u);
  for (int devices = 1; devices <= 2; ++devices) {
    const json& preview = previews[devices - 1];
    EXPECT_EQ(preview["model_id"], "ember");
    EXPECT_EQ(preview["sharding"], "Pipeline");
    EXPECT_EQ(preview["min_nodes"], devices);
    EXPECT_TRUE(preview["error"].is_null());
    const json& assignments = preview["instance"]["shardAssignments"];
    EXPECT_EQ(assignments["nodeToRunner"].size(), static_cast<size_t>(devices));
    int64_t memory = 0;
    for (const auto& bytes : preview["memory_delta_by_node"]) memory += bytes.get<int64_t>();
    EXPECT_NEAR(memory, 1.2 * ember().total_bytes() + 6 * 100'000, devices);
    EXPECT_EQ(preview["instance"]["kv"], "q8");
  }
}

TEST(PreviewsJson, SaysWhyNothingFits) {
  cluster::ModelFacts model = ember();
  model.layer_bytes = 100'000'000'000;
  const json previews = json::parse(previews_json(cluster_of_two(), {.model = model}))["previews"];
  ASSERT_EQ(previews.size(), 2u);
  EXPECT_TRUE(previews[0]["instance"].is_null());
  EXPECT_TRUE(previews[0]["memory_delta_by_node"].is_null());
  EXPECT_FALSE(previews[0]["error"].get<std::string>().empty());
}

TEST(HealthJson, CountsReadyInstances) {
  ClusterView view = cluster_of_two();
  const auto instances = [&view] { return json::parse(health_json(view, "0.1.0"))["instances"]; };
  EXPECT_EQ(instances(), json({{"ready", 0}, {"total", 1}}));
  for (auto& runner : view.runners) runner.status = RunnerStatus::kReady;
  EXPECT_EQ(instances(), json({{"ready", 1}, {"total", 1}}));
  EXPECT_EQ(json::parse(health_json(view, "0.1.0"))["device"], "aaaa");
}

TEST(FindModel, AsksOnlineDevicesOnly) {
  ClusterView view = cluster_of_two();
  EXPECT_EQ(find_model(view, "ember")->layers, 6);
  EXPECT_EQ(find_model(view, "llama").error().code(), Code::kNotFound);
  for (auto& [id, device] : view.devices) device.status = DeviceStatus::kOffline;
  EXPECT_FALSE(find_model(view, "ember").ok());
}

}  // namespace
}  // namespace hearth::daemon
