#include "daemon/kept_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>
#include <sstream>

namespace hearth::daemon {
namespace {

namespace fs = std::filesystem;
using engine::Quantize;
using testing::ElementsAre;
using testing::IsEmpty;

class KeptTimesTest : public testing::Test {
 protected:
  KeptTimesTest() {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~KeptTimesTest() override { fs::remove_all(folder_); }

  KeptTimes open(Quantize quantize = Quantize::kNone) const { return {folder_, quantize}; }
  std::map<std::string, cluster::TokenTimes> found() const { return open().find(model_); }
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(file_).rdbuf();
    return text.str();
  }
  void write(const std::string& text) const { std::ofstream(file_) << text; }

  const std::string folder_ = testing::TempDir() + "hearth_times_" + std::to_string(getpid());
  const std::string file_ = folder_ + "/times.json";
  const cluster::ModelFacts model_{
      .id = "ember", .encoding = "F16", .layers = 3, .file_bytes = 1000};
  const engine::LayerTimes whole_{
      .steps = 32, .layers = {1e-6, 2e-6, 3e-6}, .embedding = 4e-7, .head = 5e-6};
  const cluster::TokenTimes whole_ns_{
      .layers_ns = {1000, 2000, 3000}, .embedding_ns = 400, .head_ns = 5000};
};

TEST_F(KeptTimesTest, OutliveTheProcess) {
  EXPECT_THAT(found(), IsEmpty());
  open().add(model_, "q16", whole_);
  EXPECT_THAT(found(), ElementsAre(std::pair("q16", whole_ns_)));
}

TEST_F(KeptTimesTest, StagesAddTheirLayers) {
  open().add(model_, "q16", {.steps = 32, .layer_begin = 2, .layers = {9e-6}, .head = 7e-6});
  EXPECT_THAT(found().at("q16").layers_ns, ElementsAre(0, 0, 9000));
  open().add(model_, "q16", {.steps = 32, .layers = {1e-6, 2e-6}, .embedding = 4e-7});
  EXPECT_EQ(
      found().at("q16"),
      (cluster::TokenTimes{.layers_ns = {1000, 2000, 9000}, .embedding_ns = 400, .head_ns = 7000}));
}

TEST_F(KeptTimesTest, OtherWeightsAndCachesHaveTheirOwn) {
  open().add(model_, "q16", whole_);
  open().add(model_, "q8", {.steps = 32, .layers = {5e-6, 5e-6, 5e-6}});
  EXPECT_EQ(found().size(), 2u);
  EXPECT_THAT(open(Quantize::kQ4).find(model_), IsEmpty());
  for (const auto& change : std::initializer_list<void (*)(cluster::ModelFacts*)>{
           [](cluster::ModelFacts* model) { model->id = "other"; },
           [](cluster::ModelFacts* model) { model->encoding = "Q4_0"; },
           [](cluster::ModelFacts* model) { model->file_bytes = 1001; },
           [](cluster::ModelFacts* model) { model->layers = 4; }}) {
    cluster::ModelFacts other = model_;
    change(&other);
    EXPECT_THAT(open().find(other), IsEmpty());
  }
}

TEST_F(KeptTimesTest, WhatNoRankCanMeasureIsNotKept) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const double bad : {nan, -1.0, 0.0, 1e300, HUGE_VAL}) {
    open().add(model_, "q16", {.steps = 32, .layers = {1e-6, bad, 1e-6}});
    if (bad == 0) continue;
    open().add(model_, "q16", {.steps = 32, .layers = {1e-6}, .embedding = bad});
    open().add(model_, "q16", {.steps = 32, .layers = {1e-6}, .head = bad});
  }
  open().add(model_, "q16", {.steps = 32});
  open().add(model_, "q16", {.steps = 32, .layers = {1e-6, 1e-6, 1e-6, 1e-6}});
  open().add(model_, "q16", {.steps = 32, .layer_begin = 1, .layers = {1e-6, 1e-6, 1e-6}});
  open().add(model_, "q16", {.steps = 32, .layer_begin = -1, .layers = {1e-6}});
  open().add(model_, "q16",
             {.steps = 32, .layer_begin = std::numeric_limits<int>::max(), .layers = {1e-6}});
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(KeptTimesTest, ADamagedFileIsAsGoodAsNone) {
  open().add(model_, "q16", whole_);
  const std::string good = text();
  for (size_t size = 0; size + 2 < good.size(); ++size) {
    write(good.substr(0, size));
    ASSERT_THAT(found(), IsEmpty()) << size;
  }
  std::mt19937 random(5);
  for (int round = 0; round < 500; ++round) {
    std::string bad = good;
    for (unsigned i = 0; i < 1 + random() % 3; ++i) {
      bad[random() % bad.size()] = static_cast<char>(random());
    }
    write(bad);
    (void)found();
  }
  for (const char* bad : {"null", "[]", "7", R"({"version":1})"}) {
    write(bad);
    EXPECT_THAT(found(), IsEmpty()) << bad;
  }
  open().add(model_, "q16", whole_);
  EXPECT_EQ(found().at("q16"), whole_ns_) << "it is written anew";
}

TEST_F(KeptTimesTest, NumbersOutOfBoundsAreDamage) {
  open().add(model_, "q16", whole_);
  const std::string good = text();
  for (const char* bad : {"-1", "1e300", "0.5", "\"5\"", "null", "3600000000001"}) {
    std::string changed = good;
    changed.replace(changed.find("2000"), 4, bad);
    write(changed);
    EXPECT_THAT(found(), IsEmpty()) << bad;
  }
}

TEST_F(KeptTimesTest, AnotherMachinesAreNotThisOnes) {
  open().add(model_, "q16", whole_);
  std::string other = text();
  other.replace(other.find(" cores of "), 10, " other of ");
  write(other);
  EXPECT_THAT(found(), IsEmpty());
}

TEST_F(KeptTimesTest, TheOldestGo) {
  KeptTimes times = open();
  for (int i = 0; i < 70; ++i) {
    cluster::ModelFacts model = model_;
    model.id = "model " + std::to_string(i);
    times.add(model, "q16", whole_);
  }
  cluster::ModelFacts model = model_;
  model.id = "model 0";
  EXPECT_THAT(open().find(model), IsEmpty());
  model.id = "model 69";
  EXPECT_FALSE(open().find(model).empty());
}

}  // namespace
}  // namespace hearth::daemon
