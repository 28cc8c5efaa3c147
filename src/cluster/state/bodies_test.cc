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
                      .kv_layer_bytes = {{"q16", 520}, {"q8", 264}}}}};
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
  instance.plan.ranks.push_back({kDevice, 0, 7, 5_GiB});
  const auto copy = decode_instance(kInstance, encode(instance));
  ASSERT_TRUE(copy.ok());
  EXPECT_EQ(encode(*copy), encode(instance));
  EXPECT_EQ(copy->kv, "q8");
  EXPECT_EQ(decode_instance(kInstance, R"({"model":"ember"})")->kv, "q16")
      << "of before it was said";
  EXPECT_EQ(copy->plan.epoch, 9);
  EXPECT_EQ(copy->plan.ranks[0].layer_end, 7);
}

TEST(BodiesTest, WhateverADeviceSaysOfItselfIsADocument) {
  DeviceFacts facts = full_facts();
  facts.name = std::string("\xff\xfe") + std::string(5000, 'x');
  facts.addresses.resize(1000, "10.0.0.1:1");
  ModelFacts big = facts.models[0];
  big.id = big.name = big.architecture = big.encoding = std::string(5000, '\x80');
  facts.models.assign(10'000, big);
  const std::string body = encode(facts);
  EXPECT_LE(body.size(), static_cast<size_t>(limits::kDocumentBytesMax));
  const auto read = decode_facts(kDevice, body);
  ASSERT_TRUE(read.ok());
  EXPECT_GE(read->models.size(), 64u);
}

TEST(BodiesTest, DamagedBodiesAreRefused) {
  for (const char* body :
       {"", "null", "[]", "7", "{", R"({"name":7})", R"({"cores":-1})", R"({"cores":1e99})",
        R"({"cores":18446744073709551615})", R"({"models":{}})", R"({"models":[{}]})",
        R"({"models":[7]})", R"({"models":[{"id":"x","layers":99999999}]})",
        R"({"models":[{"id":"x","kv_layer_bytes":7}]})",
        R"({"models":[{"id":"x","kv_layer_bytes":{"q8":-1}}]})", R"({"addresses":[7]})",
        R"({"addresses":"x"})"}) {
    EXPECT_FALSE(decode_facts(kDevice, body).ok()) << body;
  }
  for (const char* body : {"", "[]", R"({"runners":7})", R"({"runners":[{}]})",
                           R"({"runners":[{"instance":"x","status":99}]})",
                           R"({"runners":[{"instance":"x","rendezvous_port":70000}]})"}) {
    EXPECT_FALSE(decode_runners(kDevice, body).ok()) << body;
  }
  for (const char* body : {"", "[]", R"({"ranks":[{}]})", R"({"epoch":-1})", R"({"token":[]})",
                           R"({"ranks":[{"device":"x","layer_begin":4,"layer_end":2}]})"}) {
    EXPECT_FALSE(decode_instance(kInstance, body).ok()) << body;
  }
  // Deep nesting must not exhaust the stack.
  EXPECT_FALSE(decode_facts(kDevice, std::string(500'000, '[')).ok());
}

TEST(BodiesTest, RandomDamageIsNeverFatal) {
  std::mt19937 random(3);
  const std::string good = encode(full_facts());
  for (int round = 0; round < 5000; ++round) {
    std::string bad = good;
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
