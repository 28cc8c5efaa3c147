#include "cluster/state/bodies.h"

#include <gtest/gtest.h>

#include <random>

#include "base/limits.h"
#include "base/units.h"

namespace hearth::cluster {
namespace {

const DeviceId kDevice(std::string(64, 'd'));
const InstanceId kInstance("0123456789abcdef");

DeviceFacts full_facts() {
  return {.id = kDevice,
          .name = "küche",
          .model = "Linux x86_64",
          .chip = "Intel",
          .os = "Debian",
          .version = "0.1.0",
          .cores = 8,
          .memory_total_bytes = 64_GiB,
          .memory_available_bytes = 32_GiB,
          .addresses = {"10.0.0.1:52416", "[2001:db8::1]:52416"},
          .joined_unix_ms = 1'700'000'000'000,
          .models = {{.id = "ember",
                      .name = "Ember",
                      .architecture = "llama",
                      .encoding = "F16",
                      .layers = 12,
                      .context = 512,
                      .layer_bytes = 1_MiB,
                      .embedding_bytes = 2_MiB,
                      .head_bytes = 3_MiB,
                      .kv_layer_bytes = {{"q16", 520}, {"q8", 264}},
                      .token_bytes = 17_MiB,
                      .token_multiply_adds = 9'000'000,
                      .hidden = 64,
                      .kv_heads = 2,
                      .slices_max = 8,
                      .token_times = {{"q16",
                                       {.layers_ns = {90'000, 80'000, 0},
                                        .embedding_ns = 1'000,
                                        .head_ns = 40'000}}}}},
          .memory_bytes_per_second = 20'000'000'000,
          .multiply_adds_per_second = 900'000'000'000,
          .transports = {"ucx", "tcp"},
          .links = {{.to = DeviceId("other"),
                     .host = "10.0.0.2",
                     .local_host = "10.0.0.1",
                     .interface = "eth0",
                     .kind = "rdma",
                     .rdma_ports = "mlx5_0:1",
                     .latency_ns = 21'000,
                     .bits_per_second = 9'400'000'000},
                    {.to = DeviceId("other"), .host = "10.9.0.2", .error = "no route to host"}}};
}

TEST(BodiesTest, FactsSurvive) {
  const DeviceFacts facts = full_facts();
  const auto read = decode_facts(kDevice, encode(facts));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(encode(*read), encode(facts));
  EXPECT_EQ(read->name, facts.name);
  EXPECT_EQ(read->addresses, facts.addresses);
  EXPECT_EQ(read->joined_unix_ms, facts.joined_unix_ms);
  ASSERT_EQ(read->models.size(), 1u);
  EXPECT_EQ(read->models[0].total_bytes(), facts.models[0].total_bytes());
  EXPECT_EQ(read->models[0].kv_layer_bytes, facts.models[0].kv_layer_bytes);
  EXPECT_EQ(read->models[0].slices_max, 8);
  EXPECT_EQ(read->models[0].token_times, facts.models[0].token_times);
  EXPECT_EQ(read->links, facts.links);
  EXPECT_EQ(read->transports, facts.transports);
  EXPECT_EQ(read->memory_bytes_per_second, facts.memory_bytes_per_second);
}

TEST(BodiesTest, RunnersAndInstancesSurvive) {
  const std::vector<RunnerView> runners = {{.device = kDevice,
                                            .instance = kInstance,
                                            .epoch = 5,
                                            .rank = 2,
                                            .status = RunnerStatus::kFailed,
                                            .layers_loaded = 3,
                                            .layers_total = 4,
                                            .rendezvous_port = 40000,
                                            .error = "out of memory"}};
  const auto read = decode_runners(kDevice, encode(runners));
  ASSERT_TRUE(read.ok());
  ASSERT_EQ(read->size(), 1u);
  EXPECT_EQ((*read)[0].device, kDevice);
  EXPECT_EQ((*read)[0].status, RunnerStatus::kFailed);
  EXPECT_EQ(encode(*read), encode(runners));

  InstanceView instance;
  instance.id = kInstance;
  instance.model = "ember";
  instance.min_devices = 2;
  instance.kv = "q8";
  instance.created_unix_ms = 1234;
  instance.message = "waits";
  instance.failures = 3;
  instance.plan.epoch = 9;
  instance.plan.token = "secret";
  instance.sharding = "tensor";
  instance.plan.slices = 2;
  instance.plan.cut_by = "times";
  instance.plan.token_ns = 31'000'000;
  instance.plan.ranks.push_back({kDevice, 0, 7, 5_GiB, 667, "q8"});
  instance.plan.ranks.push_back({kDevice, 0, 7, 3_GiB, 333, "q8"});
  const auto copy = decode_instance(kInstance, encode(instance));
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(encode(*copy), encode(instance));
  EXPECT_EQ(copy->kv, "q8");
  EXPECT_EQ(decode_instance(kInstance, R"({"model":"ember"})")->kv, "q16")
      << "of before it was said";
  EXPECT_EQ(copy->plan.epoch, 9);
  EXPECT_EQ(copy->plan.ranks[0].layer_end, 7);
  EXPECT_EQ(copy->plan.slices, 2);
  EXPECT_EQ(copy->plan.ranks[0].share, 667);
  EXPECT_EQ(copy->plan.ranks[1].wire, "q8");
  EXPECT_EQ(copy->sharding, "tensor");
  EXPECT_EQ(copy->plan.cut_by, "times");
}

TEST(BodiesTest, WhateverADeviceSaysOfItselfIsADocument) {
  DeviceFacts facts = full_facts();
  facts.name = std::string("\xff\xfe") + std::string(5000, 'x');
  facts.addresses.resize(1000, "10.0.0.1:1");
  ModelFacts big = facts.models[0];
  big.id = big.name = big.architecture = big.encoding = std::string(5000, '\x80');
  facts.models.assign(10'000, big);
  LinkFacts link = facts.links[0];
  link.host = link.error = link.interface = std::string(5000, '\x80');
  facts.links.assign(10'000, link);
  const std::string body = encode(facts);
  EXPECT_LE(body.size(), static_cast<size_t>(limits::kDocumentBytesMax));
  const auto read = decode_facts(kDevice, body);
  ASSERT_TRUE(read.ok());
  EXPECT_GE(read->models.size(), 64u);
}

TEST(BodiesTest, DamagedBodiesAreRefused) {
  for (const char* body : {"",
                           "null",
                           "[]",
                           "7",
                           "{",
                           R"({"name":7})",
                           R"({"cores":-1})",
                           R"({"cores":1e99})",
                           R"({"cores":18446744073709551615})",
                           R"({"models":{}})",
                           R"({"models":[{}]})",
                           R"({"models":[7]})",
                           R"({"models":[{"id":"x","layers":99999999}]})",
                           R"({"models":[{"id":"x","layers":-1,"kv_layer_bytes":{"q16":1}}]})",
                           R"({"models":[{"id":"x","kv_layer_bytes":7}]})",
                           R"({"models":[{"id":"x","kv_layer_bytes":{"q8":-1}}]})",
                           R"({"addresses":[7]})",
                           R"({"addresses":"x"})",
                           R"({"links":7})",
                           R"({"links":[{}]})",
                           R"({"links":[7]})",
                           R"({"links":[{"to":"x","latency_ns":-1}]})",
                           R"({"links":[{"to":"x","bits_per_second":1e30}]})",
                           R"({"links":[{"to":"x","host":7}]})",
                           R"({"transports":[7]})",
                           R"({"memory_bytes_per_second":-1})",
                           R"({"models":[{"id":"x","hidden":-1}]})"}) {
    EXPECT_FALSE(decode_facts(kDevice, body).ok()) << body;
  }
  for (const char* body : {"", "[]", R"({"runners":7})", R"({"runners":[{}]})",
                           R"({"runners":[{"instance":"x","status":99}]})",
                           R"({"runners":[{"instance":"x","rendezvous_port":70000}]})"}) {
    EXPECT_FALSE(decode_runners(kDevice, body).ok()) << body;
  }
  for (const char* body :
       {"", "[]", R"({"ranks":[{}]})", R"({"epoch":-1})", R"({"token":[]})",
        R"({"ranks":[{"device":"x","layer_begin":4,"layer_end":2}]})", R"({"slices":65})",
        R"({"sharding":7})", R"({"ranks":[{"device":"x","layer_end":2}],"slices":2})",
        R"({"ranks":[{"device":"x","layer_end":2,"share":-1}]})",
        R"({"ranks":[{"device":"x","layer_end":2},
                                        {"device":"y","layer_begin":2,"layer_end":4}],
                               "slices":2})"}) {
    EXPECT_FALSE(decode_instance(kInstance, body).ok()) << body;
  }
  // Deep nesting must not exhaust the stack.
  EXPECT_FALSE(decode_facts(kDevice, std::string(500'000, '[')).ok());
}

TEST(BodiesTest, TimesAreNumbersOfNanoseconds) {
  const auto decode_times = [](const std::string& times) {
    return decode_facts(
        kDevice, R"({"models":[{"id":"x","layers":2,"token_times":{"q16":)" + times + "}}]}");
  };
  const auto good = decode_times(R"({"layers_ns":[5,0],"head_ns":7})");
  ASSERT_TRUE(good.ok());
  EXPECT_EQ(good->models[0].token_times.at("q16"),
            (TokenTimes{.layers_ns = {5, 0}, .embedding_ns = 0, .head_ns = 7}));
  std::string many = "0";
  for (int i = 0; i < 2000; ++i) many += ",0";
  for (const std::string& bad : {
           std::string("7"),
           std::string("[]"),
           std::string(R"({"layers_ns":7})"),
           std::string(R"({"layers_ns":["5"]})"),
           std::string(R"({"layers_ns":[null]})"),
           std::string(R"({"layers_ns":[NaN]})"),
           std::string(R"({"layers_ns":[-1]})"),
           std::string(R"({"layers_ns":[0.5]})"),
           std::string(R"({"layers_ns":[1e300]})"),
           std::string(R"({"layers_ns":[3600000000001]})"),
           std::string(R"({"head_ns":-1})"),
           std::string(R"({"embedding_ns":1e300})"),
           R"({"layers_ns":[)" + many + "]}",
       }) {
    EXPECT_FALSE(decode_times(bad).ok()) << bad;
  }
  EXPECT_FALSE(decode_facts(kDevice, R"({"models":[{"id":"x","token_times":[1]}]})").ok());
}

TEST(BodiesTest, RandomDamageIsNeverFatal) {
  std::mt19937 random(3);
  InstanceView instance{.id = kInstance, .plan = {.epoch = 1, .slices = 2}};
  instance.plan.ranks.assign(4, {kDevice, 0, 7, 5_GiB, 500, "bf16"});
  const std::string goods[] = {encode(full_facts()), encode(instance)};
  for (int round = 0; round < 5000; ++round) {
    std::string bad = goods[round % 2];
    if (round % 7 == 0) bad.resize(1 + random() % bad.size());
    for (unsigned i = 0; i < 1 + random() % 4; ++i) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    (void)decode_facts(kDevice, bad).ok();
    (void)decode_runners(kDevice, bad).ok();
    (void)decode_instance(kInstance, bad).ok();
  }
}

}  // namespace
}  // namespace hearth::cluster
