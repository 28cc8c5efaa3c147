#include "cluster/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/units.h"

namespace hearth::cluster {
namespace {

ModelFacts model_of(int layers, int64_t layer_bytes, int64_t embedding_bytes = 0,
                    int64_t head_bytes = 0) {
  return {.id = "ember",
          .architecture = "llama",
          .encoding = "F16",
          .layers = layers,
          .layer_bytes = layer_bytes,
          .embedding_bytes = embedding_bytes,
          .head_bytes = head_bytes};
}

DeviceView device_of(const std::string& id, int64_t available, const ModelFacts& model) {
  DeviceView device;
  device.facts.id = DeviceId(id);
  device.facts.memory_total_bytes = available * 2;
  device.facts.memory_available_bytes = available;
  device.facts.models = {model};
  device.status = DeviceStatus::kOnline;
  return device;
}

std::vector<std::string> order_of(const Plan& plan) {
  std::vector<std::string> ids;
  for (const RankPlan& rank : plan.ranks) ids.push_back(rank.device.str());
  return ids;
}

std::vector<int> layers_of(const Plan& plan) {
  std::vector<int> layers;
  for (const RankPlan& rank : plan.ranks) layers.push_back(rank.layer_end - rank.layer_begin);
  return layers;
}

using testing::ElementsAre;

// A model of 1.6 GB with as much to read for every token, and 1.6 G multiply-adds.
ModelFacts sliceable() {
  ModelFacts model = model_of(16, 100'000'000);
  model.token_bytes = 1'600'000'000;
  model.token_multiply_adds = 1'600'000'000;
  model.hidden = 2048;
  model.kv_heads = 8;
  model.slices_max = 32;
  return model;
}

// Devices "a", "b", ... that read so many GB a second and multiply in proportion; each reaches each
// with so much latency and bandwidth.
std::vector<DeviceView> devices_of(const ModelFacts& model, const std::vector<double>& speeds,
                                   double latency_us, double gigabits) {
  std::vector<DeviceView> devices;
  for (size_t i = 0; i < speeds.size(); ++i) {
    const std::string id(1, static_cast<char>('a' + i));
    // The first is the biggest, so that ranks are in alphabetical order.
    devices.push_back(device_of(id, 16_GiB - static_cast<int64_t>(i) * 1_MiB, model));
    DeviceFacts& facts = devices.back().facts;
    facts.memory_bytes_per_second = static_cast<int64_t>(speeds[i] * 1e9);
    facts.multiply_adds_per_second = static_cast<int64_t>(speeds[i] * 3e10);
    for (size_t j = 0; j < speeds.size(); ++j) {
      if (i == j) continue;
      facts.links.push_back({.to = DeviceId(std::string(1, static_cast<char>('a' + j))),
                             .host = "10.0.0." + std::to_string(j + 1),
                             .kind = "ethernet",
                             .latency_ns = static_cast<int64_t>(latency_us * 1e3),
                             .bits_per_second = static_cast<int64_t>(gigabits * 1e9)});
    }
  }
  return devices;
}

void set_link(std::vector<DeviceView>& devices, size_t from, size_t to, double latency_us,
              double gigabits) {
  for (const auto& [a, b] : {std::pair(from, to), std::pair(to, from)}) {
    for (LinkFacts& link : devices[a].facts.links) {
      if (link.to != devices[b].facts.id) continue;
      link.latency_ns = static_cast<int64_t>(latency_us * 1e3);
      link.bits_per_second = static_cast<int64_t>(gigabits * 1e9);
    }
  }
}

std::vector<int> shares_of(const Plan& plan) {
  std::vector<int> shares;
  for (const RankPlan& rank : plan.ranks) shares.push_back(rank.share);
  return shares;
}

TEST(PlacementTest, FastLinksMakeATensorGroup) {
  const ModelFacts model = sliceable();
  const auto plan = place({.model = model, .min_devices = 2}, devices_of(model, {20, 20}, 10, 9.4));
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_EQ(plan->slices, 2);
  EXPECT_THAT(layers_of(*plan), ElementsAre(16, 16));
  EXPECT_THAT(shares_of(*plan), ElementsAre(500, 500));
  EXPECT_EQ(plan->ranks[0].wire, "f32");
  EXPECT_NEAR(static_cast<double>(plan->ranks[0].memory_bytes), 0.5 * 1.2 * 1.6e9, 1e6);
  // Half of 1.6 GB at 85 % of 20 GB/s, and 33 sums.
  EXPECT_NEAR(static_cast<double>(plan->token_ns), 47.1e6, 2e6);
}

TEST(PlacementTest, SlowLinksMakeAPipeline) {
  const ModelFacts model = sliceable();
  for (const auto& [latency_us, gigabits] : {std::pair(2000.0, 0.05), std::pair(40'000.0, 10.0)}) {
    const auto plan = place({.model = model, .min_devices = 2},
                            devices_of(model, {20, 20}, latency_us, gigabits));
    ASSERT_TRUE(plan.ok());
    EXPECT_EQ(plan->slices, 1) << latency_us;
    EXPECT_THAT(layers_of(*plan), ElementsAre(8, 8));
    EXPECT_GT(plan->token_ns, 0);
  }
}

TEST(PlacementTest, VeryFastLinksAreNotEvenPredicted) {
  const ModelFacts model = sliceable();
  auto devices = devices_of(model, {20, 20}, 20'000, 41);
  EXPECT_EQ(place({.model = model, .min_devices = 2}, devices)->slices, 2);
  set_link(devices, 0, 1, 20'000, 39);
  EXPECT_EQ(place({.model = model, .min_devices = 2}, devices)->slices, 1);
}

TEST(PlacementTest, WhatIsNotMeasuredIsAPipeline) {
  const ModelFacts model = sliceable();
  auto devices = devices_of(model, {20, 20}, 10, 10);
  devices[1].facts.memory_bytes_per_second = 0;
  EXPECT_EQ(place({.model = model, .min_devices = 2}, devices)->slices, 1);
  devices = devices_of(model, {20, 20}, 10, 100);
  for (DeviceView& device : devices) device.facts.links.clear();
  const auto plan = place({.model = model, .min_devices = 2}, devices);
  EXPECT_EQ(plan->slices, 1);
  EXPECT_EQ(plan->token_ns, 0);
}

TEST(PlacementTest, WhatIsAskedForIsDone) {
  const ModelFacts model = sliceable();
  const auto slow = devices_of(model, {20, 20}, 2000, 0.05);
  const auto tensor = place({.model = model, .min_devices = 2, .sharding = "tensor"}, slow);
  ASSERT_TRUE(tensor.ok());
  EXPECT_EQ(tensor->slices, 2);
  const auto fast = devices_of(model, {20, 20}, 10, 100);
  EXPECT_EQ(place({.model = model, .min_devices = 2, .sharding = "pipeline"}, fast)->slices, 1);
  EXPECT_EQ(place({.model = model, .sharding = "tensor"}, fast)->ranks.size(), 1u)
      << "one device has nobody to share with";
}

TEST(PlacementTest, UnequalDevicesGetUnequalShares) {
  const ModelFacts model = sliceable();
  const auto tensor = place({.model = model, .min_devices = 2, .sharding = "tensor"},
                            devices_of(model, {40, 20}, 10, 10));
  EXPECT_THAT(shares_of(*tensor), ElementsAre(667, 333));
  EXPECT_GT(tensor->ranks[0].memory_bytes, tensor->ranks[1].memory_bytes);
  const auto pipeline = place({.model = model, .min_devices = 2, .sharding = "pipeline"},
                              devices_of(model, {60, 20}, 10, 10));
  EXPECT_THAT(layers_of(*pipeline), ElementsAre(12, 4));
  // The fast one has not the memory for what it could do.
  auto devices = devices_of(model, {60, 20}, 10, 10);
  devices[0].facts.memory_available_bytes = 1_GiB;
  devices[1].facts.memory_available_bytes = 1000_MiB;
  const auto tight = place({.model = model, .min_devices = 2, .sharding = "tensor"}, devices);
  ASSERT_TRUE(tight.ok()) << tight.error().message();
  EXPECT_THAT(shares_of(*tight), ElementsAre(506, 494));
}

TEST(PlacementTest, IslandsOfFastLinksBecomeStages) {
  const ModelFacts model = sliceable();
  // a and c are near to each other, and so are b and d.
  auto devices = devices_of(model, {20, 20, 20, 20}, 1500, 0.3);
  set_link(devices, 0, 2, 8, 25);
  set_link(devices, 1, 3, 8, 25);
  const auto plan = place({.model = model, .min_devices = 4}, devices);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->slices, 2);
  EXPECT_EQ(plan->stages(), 2);
  EXPECT_THAT(order_of(*plan), ElementsAre("a", "c", "b", "d"));
  EXPECT_THAT(layers_of(*plan), ElementsAre(8, 8, 8, 8));
}

TEST(PlacementTest, SlowLinksCarryRounderNumbers) {
  const ModelFacts model = sliceable();
  const auto wire_at = [&](double gigabits) {
    const auto plan = place({.model = model, .min_devices = 2, .sharding = "tensor"},
                            devices_of(model, {20, 20}, 30, gigabits));
    return plan->ranks[1].wire;
  };
  EXPECT_EQ(wire_at(9.4), "f32");
  EXPECT_EQ(wire_at(0.94), "bf16");
  EXPECT_EQ(wire_at(0.09), "q8");
}

// More slices than key-value heads share them: each keeps the whole.
TEST(PlacementTest, SharedKeysAreCountedForAll) {
  ModelFacts model = sliceable();
  model.kv_layer_bytes = {{"q16", 10'000'000}};
  const auto memory = [&](int kv_heads) -> double {
    model.kv_heads = kv_heads;
    return place({.model = model, .min_devices = 2, .sharding = "tensor"},
                 devices_of(model, {20, 20}, 10, 10))
        ->ranks[0]
        .memory_bytes;
  };
  EXPECT_NEAR(memory(1) - memory(2), 16 * 5'000'000, 1);
}

TEST(PlacementTest, OneDeviceWhenItFits) {
  const ModelFacts model = model_of(10, 100_MiB);
  const auto plan =
      place({.model = model}, {device_of("a", 1300_MiB, model), device_of("b", 2_GiB, model)});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_THAT(order_of(*plan), ElementsAre("b"));
  EXPECT_EQ(plan->ranks[0].layer_begin, 0);
  EXPECT_EQ(plan->ranks[0].layer_end, 10);
  EXPECT_EQ(plan->ranks[0].memory_bytes, 1200_MiB);
}

TEST(PlacementTest, LayersFollowMemoryBiggestFirst) {
  const ModelFacts model = model_of(12, 100_MiB);
  const std::vector<DeviceView> devices = {device_of("small", 1_GiB, model),
                                           device_of("big", 3_GiB, model),
                                           device_of("middle", 2_GiB, model)};
  const auto plan = place({.model = model, .min_devices = 3}, devices);
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_THAT(order_of(*plan), ElementsAre("big", "middle", "small"));
  EXPECT_THAT(layers_of(*plan), ElementsAre(6, 4, 2));
  int next = 0;
  for (const RankPlan& rank : plan->ranks) {
    EXPECT_EQ(rank.layer_begin, next);
    next = rank.layer_end;
  }
  EXPECT_EQ(next, 12);
  EXPECT_THAT(order_of(*place({.model = model, .min_devices = 2}, devices)),
              ElementsAre("big", "middle"));
}

TEST(PlacementTest, AsFewDevicesAsHoldIt) {
  const ModelFacts model = model_of(12, 100_MiB);  // needs 1440 MiB
  const std::vector<DeviceView> devices = {device_of("a", 800_MiB, model),
                                           device_of("b", 750_MiB, model),
                                           device_of("c", 600_MiB, model)};
  EXPECT_EQ(place({.model = model}, devices)->ranks.size(), 2u);
  EXPECT_EQ(place({.model = model, .min_devices = 3}, devices)->ranks.size(), 3u);
}

TEST(PlacementTest, EveryRankHasALayer) {
  const ModelFacts model = model_of(4, 10_MiB);
  const auto plan = place(
      {.model = model, .min_devices = 3},
      {device_of("a", 900_GiB, model), device_of("b", 1_GiB, model), device_of("c", 1_GiB, model)});
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(layers_of(*plan), ElementsAre(2, 1, 1));
}

TEST(PlacementTest, EmbeddingAndHeadCountWhereTheyLie) {
  // Evenly shared, each would hold five layers; but the embedding is as large as four of them.
  const ModelFacts model = model_of(10, 100_MiB, 400_MiB, 100_MiB);
  const auto plan = place({.model = model, .min_devices = 2},
                          {device_of("a", 960_MiB, model), device_of("b", 960_MiB, model)});
  ASSERT_TRUE(plan.ok()) << plan.error().message();
  EXPECT_THAT(layers_of(*plan), ElementsAre(4, 6));
  EXPECT_EQ(plan->ranks[0].memory_bytes, 960_MiB);
  EXPECT_EQ(plan->ranks[1].memory_bytes, 840_MiB);
  EXPECT_FALSE(place({.model = model, .min_devices = 2},
                     {device_of("a", 800_MiB, model), device_of("b", 800_MiB, model)})
                   .ok());
}

TEST(PlacementTest, TheCacheCostsMemoryByItsType) {
  ModelFacts model = model_of(10, 100_MiB);
  model.kv_layer_bytes = {{"f32", 256_MiB}, {"q16", 128_MiB}, {"q8", 64_MiB}};
  const auto plan_of = [&](const std::string& kv, int64_t available) {
    return place({.model = model, .kv = kv}, {device_of("a", available, model)});
  };
  EXPECT_EQ(plan_of("f32", 3760_MiB)->ranks[0].memory_bytes, 3760_MiB);
  EXPECT_EQ(plan_of("q16", 3760_MiB)->ranks[0].memory_bytes, 2480_MiB);
  EXPECT_TRUE(plan_of("q8", 1840_MiB).ok());
  EXPECT_FALSE(plan_of("q8", 1839_MiB).ok());
  EXPECT_EQ(place({.model = model}, {device_of("a", 4_GiB, model)})->ranks[0].memory_bytes,
            2480_MiB)
      << "q16 unless another is asked for";
  const auto much = plan_of("q16", 1840_MiB);
  ASSERT_FALSE(much.ok());
  EXPECT_EQ(much.error().code(), Code::kResourceExhausted);
  EXPECT_EQ(
      much.error().message(),
      "ember needs 2.42 GiB of memory and the 1 device that can hold it has 1.8 GiB available");
}

TEST(PlacementTest, SaysWhatIsMissing) {
  const ModelFacts model = model_of(4, 10_MiB);
  DeviceView offline = device_of("b", 1_GiB, model);
  offline.status = DeviceStatus::kOffline;
  DeviceView suspect = device_of("c", 1_GiB, model);
  suspect.status = DeviceStatus::kSuspect;
  DeviceView without = device_of("d", 1_GiB, model);
  without.facts.models.clear();
  const DeviceView good = device_of("a", 1_GiB, model);

  const auto message = [&](int min_devices, const std::vector<DeviceView>& devices) {
    const auto plan = place({.model = model, .min_devices = min_devices}, devices);
    return plan.ok() ? "" : plan.error().message();
  };
  EXPECT_EQ(message(2, {good, offline, suspect}), "ember needs 2 devices and 1 is online");
  EXPECT_EQ(message(1, {}), "ember needs 1 device and 0 are online");
  EXPECT_EQ(message(2, {good, without}),
            "ember needs 2 devices and 1 of the 2 online has its files");
  EXPECT_EQ(message(5, {good}), "ember has 4 layers and can use 4 devices at most, not 5");
  EXPECT_EQ(place({.model = model, .min_devices = 5}, {good}).error().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(place({.model = model, .min_devices = 0}, {good}).error().code(),
            Code::kInvalidArgument);
}

TEST(PlacementTest, OtherFilesUnderTheSameNameDoNotCount) {
  const ModelFacts model = model_of(4, 10_MiB);
  ModelFacts other = model;
  other.encoding = "Q4_0";
  const auto plan = place({.model = model, .min_devices = 2},
                          {device_of("a", 1_GiB, model), device_of("b", 1_GiB, other)});
  EXPECT_FALSE(plan.ok());
}

TEST(PlacementTest, HostileSizesAreRefused) {
  ModelFacts model = model_of(4, INT64_MAX, INT64_MAX, INT64_MAX);
  model.kv_layer_bytes = {{"q16", INT64_MAX}};
  EXPECT_EQ(place({.model = model}, {device_of("a", INT64_MAX / 2, model)}).error().code(),
            Code::kResourceExhausted);
  model.kv_layer_bytes = {{"q8", -1}};
  EXPECT_EQ(place({.model = model}, {}).error().code(), Code::kInvalidArgument);
  for (const int layers : {0, -1}) {
    EXPECT_EQ(place({.model = model_of(layers, 1)}, {}).error().code(), Code::kInvalidArgument);
  }
  EXPECT_EQ(place({.model = model_of(4, -1)}, {}).error().code(), Code::kInvalidArgument);
}

// What a device that reads `bytes_per_second` would measure of the model, by its counted bytes.
TokenTimes times_at(const ModelFacts& model, double bytes_per_second) {
  const double head = static_cast<double>(model.head_bytes);
  const double layer = (static_cast<double>(model.token_bytes) - head) / model.layers;
  const auto ns = [=](double bytes) {
    return static_cast<int64_t>(1e9 * bytes / bytes_per_second);
  };
  return {.layers_ns = std::vector<int64_t>(static_cast<size_t>(model.layers), ns(layer)),
          .embedding_ns = 1000,
          .head_ns = ns(head)};
}

void set_times(DeviceView& device, const TokenTimes& times) {
  device.facts.models[0].token_times["q16"] = times;
}

Plan pipeline_of(const ModelFacts& model, const std::vector<DeviceView>& devices) {
  const auto plan = place(
      {.model = model, .min_devices = static_cast<int>(devices.size()), .sharding = "pipeline"},
      devices);
  EXPECT_TRUE(plan.ok()) << plan.error().message();
  return plan.ok() ? *plan : Plan{};
}

TEST(PlacementTest, SaysByWhatLayersAreCut) {
  const ModelFacts model = sliceable();
  auto devices = devices_of(model, {20, 20}, 10, 1);
  EXPECT_EQ(pipeline_of(model, devices).cut_by, "bytes");
  set_times(devices[1], times_at(model, 10e9));
  EXPECT_EQ(pipeline_of(model, devices).cut_by, "times");
  const auto other =
      place({.model = model, .min_devices = 2, .kv = "q8", .sharding = "pipeline"}, devices);
  EXPECT_EQ(other->cut_by, "bytes") << "with another cache nothing was measured";
  devices[0].facts.memory_bytes_per_second = 0;
  EXPECT_EQ(pipeline_of(model, devices).cut_by, "memory");
}

TEST(PlacementTest, AHeadThatTakesHalfOfTheTimeIsHalfOfTheWork) {
  const ModelFacts model = sliceable();
  auto devices = devices_of(model, {20, 20}, 10, 1);
  EXPECT_THAT(layers_of(pipeline_of(model, devices)), ElementsAre(8, 8));
  TokenTimes times = times_at(model, 17e9);
  times.head_ns = 8 * times.layers_ns[0];
  set_times(devices[0], times);
  EXPECT_THAT(layers_of(pipeline_of(model, devices)), ElementsAre(12, 4));
  times.embedding_ns = 4 * times.layers_ns[0];
  set_times(devices[0], times);
  EXPECT_THAT(layers_of(pipeline_of(model, devices)), ElementsAre(10, 6));
}

TEST(PlacementTest, LayersOfExpertsTakeLongerThanPlainOnes) {
  const ModelFacts model = sliceable();
  auto devices = devices_of(model, {20, 20}, 10, 1);
  TokenTimes times = times_at(model, 17e9);
  // Eight plain layers, and eight mixtures that take three times as long.
  for (size_t i = 8; i < 16; ++i) times.layers_ns[i] *= 3;
  set_times(devices[0], times);
  EXPECT_THAT(layers_of(pipeline_of(model, devices)), ElementsAre(11, 5));
  set_times(devices[1], times);
  EXPECT_THAT(layers_of(pipeline_of(model, devices)), ElementsAre(11, 5));
}

TEST(PlacementTest, ADevicesOwnTimesBeatItsBandwidth) {
  const ModelFacts model = sliceable();
  auto devices = devices_of(model, {20, 20}, 10, 1);
  set_times(devices[0], times_at(model, 10e9));
  set_times(devices[1], times_at(model, 5e9));
  const Plan plan = pipeline_of(model, devices);
  EXPECT_THAT(layers_of(plan), ElementsAre(11, 5));
  const auto tensor = place({.model = model, .min_devices = 2, .sharding = "tensor"}, devices);
  EXPECT_THAT(shares_of(*tensor), ElementsAre(667, 333));
  // 1.1 GB at 10 GB/s, then 0.5 GB at 5 GB/s.
  EXPECT_NEAR(static_cast<double>(plan.token_ns), 210e6, 2e6);
}

TEST(PlacementTest, WhoHasNotRunTheModelIsComparedByBandwidth) {
  const ModelFacts model = sliceable();
  // The first one reaches half of its bandwidth with this model, and so will the others.
  auto devices = devices_of(model, {20, 20, 40}, 10, 1);
  set_times(devices[0], times_at(model, 10e9));
  EXPECT_THAT(layers_of(pipeline_of(model, devices)), ElementsAre(4, 4, 8));
}

TEST(PlacementTest, StagesThatTimedTheirOwnLayersAreComparedByWhatTheseRead) {
  const ModelFacts model = sliceable();
  auto devices = devices_of(model, {20, 20}, 10, 1);
  TokenTimes first = times_at(model, 12e9);
  TokenTimes second = times_at(model, 4e9);
  std::fill(first.layers_ns.begin() + 8, first.layers_ns.end(), 0);
  std::fill(second.layers_ns.begin(), second.layers_ns.begin() + 8, 0);
  set_times(devices[0], first);
  set_times(devices[1], second);
  EXPECT_THAT(layers_of(pipeline_of(model, devices)), ElementsAre(12, 4));
}

TEST(PlacementTest, PromptsKeepAllStagesBusy) {
  ModelFacts model = sliceable();
  const auto first_token_s = [&](const std::vector<double>& speeds) {
    return 1e-9 * static_cast<double>(
                      pipeline_of(model, devices_of(model, speeds, 10, 10)).first_token_ns);
  };
  // 512 rows of 1.6 G multiply-adds at half of 600 G/s.
  const double alone = first_token_s({20});
  EXPECT_NEAR(alone, 2.73, 0.01);
  // Eight chunks, and one more until the second stage has the first.
  EXPECT_NEAR(first_token_s({20, 20}), alone / 2 * 9 / 8, 0.03);
  EXPECT_NEAR(first_token_s({20, 20, 20, 20}), alone / 4 * 11 / 8, 0.03);
  // The slowest stage sets the pace: one layer takes the third device longer than the others take
  // for all that they have.
  const double slow = first_token_s({20, 20, 1});
  EXPECT_GT(slow, 8 * 64 * 1e8 / (0.5 * 3e10));
  EXPECT_LT(slow, 8 * 64 * 1e8 / (0.5 * 3e10) + 0.5);
}

TEST(PlacementTest, OnlyTheLastRowOfAPromptMeetsTheHead) {
  ModelFacts model = sliceable();
  const auto devices = devices_of(model, {20}, 10, 10);
  const int64_t without = place({.model = model}, devices)->first_token_ns;
  // As many multiply-adds again, in the head.
  model.head_bytes = model.token_bytes;
  model.token_bytes *= 2;
  model.token_multiply_adds *= 2;
  auto with_head = devices;
  with_head[0].facts.models = {model};
  const int64_t with = place({.model = model}, with_head)->first_token_ns;
  EXPECT_GE(with, without);
  EXPECT_LT(with, without + without / 10);
}

TEST(PlacementTest, WhateverDevicesSayOfTimesThereIsAPlan) {
  const ModelFacts model = sliceable();
  const auto plain = pipeline_of(model, devices_of(model, {20, 20}, 10, 1));
  const auto plan_with = [&](const TokenTimes& times) {
    auto devices = devices_of(model, {20, 20}, 10, 1);
    set_times(devices[0], times);
    return pipeline_of(model, devices);
  };
  // Not about this model, or about nothing: as if nothing had been said.
  for (const size_t count : {0u, 1u, 15u, 17u, 1000u}) {
    EXPECT_EQ(plan_with({.layers_ns = std::vector<int64_t>(count, 1000)}).cut_by, "bytes");
  }
  for (const int64_t ns : {int64_t{0}, int64_t{-1}, INT64_MIN}) {
    const Plan plan = plan_with({.layers_ns = std::vector<int64_t>(16, ns), .head_ns = ns});
    EXPECT_EQ(plan.cut_by, "bytes");
    EXPECT_EQ(layers_of(plan), layers_of(plain));
  }
  // Absurd, but numbers: a plan that covers every layer.
  for (const int64_t ns : {int64_t{1}, INT64_MAX}) {
    TokenTimes times{.layers_ns = std::vector<int64_t>(16, ns), .embedding_ns = ns, .head_ns = 1};
    times.layers_ns[3] = 1;
    times.layers_ns[7] = INT64_MAX;
    times.layers_ns[9] = -5;
    const Plan plan = plan_with(times);
    EXPECT_EQ(plan.cut_by, "times");
    ASSERT_EQ(plan.ranks.size(), 2u);
    EXPECT_EQ(plan.ranks[0].layer_begin, 0);
    EXPECT_EQ(plan.ranks[0].layer_end, plan.ranks[1].layer_begin);
    EXPECT_EQ(plan.ranks[1].layer_end, 16);
    EXPECT_GT(plan.token_ns, 0);
  }
}

// Whatever the devices: a plan covers every layer once, fits, and does not depend on the order of
// the input.
TEST(PlacementTest, PlansHoldForAnyDevices) {
  std::mt19937 random(7);
  int planned = 0;
  for (int round = 0; round < 2000; ++round) {
    const ModelFacts model =
        model_of(1 + static_cast<int>(random() % 40), (1 + random() % 200) * 1_MiB,
                 random() % 500 * 1_MiB, random() % 500 * 1_MiB);
    std::vector<DeviceView> devices;
    for (unsigned i = 0; i < 1 + random() % 6; ++i) {
      devices.push_back(
          device_of(std::string(1, static_cast<char>('a' + i)), random() % 4000 * 1_MiB, model));
    }
    const PlacementRequest request{
        .model = model, .min_devices = 1 + static_cast<int>(random() % 3), .sharding = "pipeline"};
    const auto plan = place(request, devices);
    std::shuffle(devices.begin(), devices.end(), random);
    const auto again = place(request, devices);
    ASSERT_EQ(plan.ok(), again.ok());
    if (!plan.ok()) continue;
    ++planned;
    EXPECT_EQ(order_of(*plan), order_of(*again));
    EXPECT_EQ(layers_of(*plan), layers_of(*again));
    EXPECT_GE(plan->ranks.size(), static_cast<size_t>(request.min_devices));
    int next = 0;
    int64_t available = INT64_MAX;
    for (const RankPlan& rank : plan->ranks) {
      EXPECT_EQ(rank.layer_begin, next);
      EXPECT_GT(rank.layer_end, rank.layer_begin);
      next = rank.layer_end;
      const auto device = std::find_if(
          devices.begin(), devices.end(),
          [&](const DeviceView& candidate) { return candidate.facts.id == rank.device; });
      EXPECT_LE(rank.memory_bytes, device->facts.memory_available_bytes);
      EXPECT_LE(device->facts.memory_available_bytes, available);  // biggest first
      available = device->facts.memory_available_bytes;
    }
    EXPECT_EQ(next, model.layers);
  }
  EXPECT_GT(planned, 500);
}

}  // namespace
}  // namespace hearth::cluster
