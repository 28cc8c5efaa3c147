#include "cluster/state/documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "base/limits.h"

namespace hearth::cluster {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kA(64, 'a');
const std::string kB(64, 'b');
const std::string kC(64, 'c');
const std::string kKey = "instance/0123456789abcdef";

TEST(DocumentTest, VersionsCompare) {
  EXPECT_EQ(compare({}, {}), Order::kEqual);
  EXPECT_EQ(compare({{kA, 1}}, {{kA, 1}}), Order::kEqual);
  EXPECT_EQ(compare({{kA, 2}}, {{kA, 1}}), Order::kAfter);
  EXPECT_EQ(compare({{kA, 1}}, {{kA, 1}, {kB, 1}}), Order::kBefore);
  EXPECT_EQ(compare({{kA, 2}}, {{kA, 1}, {kB, 1}}), Order::kConcurrent);
}

TEST(DocumentTest, HostileDocumentsAreRefused) {
  const Document good{.key = kKey, .version = {{kA, 1}}, .body = "{}"};
  EXPECT_TRUE(check(good).ok());
  EXPECT_TRUE(check({.key = "device/" + kA, .version = {{kA, 1}}, .body = "{}"}).ok());
  // Device-owned documents come from their owner alone.
  EXPECT_FALSE(check({.key = "device/" + kA, .version = {{kB, 1}}, .body = "{}"}).ok());
  EXPECT_FALSE(check({.key = "device/" + kA, .version = {{kA, 1}, {kB, 1}}, .body = "{}"}).ok());
  EXPECT_FALSE(check({.key = "runners/" + kA, .version = {{kB, 1}}, .body = "{}"}).ok());
  EXPECT_FALSE(check({.key = "device/" + kA, .version = {{kA, 1}}, .deleted = true}).ok());

  for (const char* key :
       {"", "/", "instance/", "instance/XYZ", "device/12", "other/0123456789abcdef"}) {
    Document bad = good;
    bad.key = key;
    EXPECT_FALSE(check(bad).ok()) << key;
  }
  Document bad = good;
  bad.version = {};
  EXPECT_FALSE(check(bad).ok());
  bad.version = {{"nobody", 1}};
  EXPECT_FALSE(check(bad).ok());
  bad.version = {{kA, 0}};
  EXPECT_FALSE(check(bad).ok());
  bad.version = {{kA, ~0ull}};
  EXPECT_FALSE(check(bad).ok());
  bad = good;
  bad.epoch = -1;
  EXPECT_FALSE(check(bad).ok());
  bad = good;
  bad.written_unix_ms = INT64_MAX;
  EXPECT_FALSE(check(bad).ok());
  bad = good;
  bad.body.resize(limits::kDocumentBytesMax + 1);
  EXPECT_FALSE(check(bad).ok());
  bad = good;
  bad.deleted = true;
  EXPECT_FALSE(check(bad).ok());
}

TEST(DocumentsTest, DominanceDecides) {
  Documents a{DeviceId(kA), 1};
  Documents b{DeviceId(kB), 1};
  a.write(kKey, "first", 0, 1000);
  EXPECT_EQ(b.merge(a.all().at(kKey)), Documents::Merge::kChanged);
  EXPECT_EQ(b.merge(a.all().at(kKey)), Documents::Merge::kUnchanged);
  b.write(kKey, "second", 0, 10);  // a slow clock does not lose
  EXPECT_EQ(a.merge(b.all().at(kKey)), Documents::Merge::kChanged);
  EXPECT_EQ(a.find(kKey)->body, "second");
  EXPECT_EQ(b.merge({.key = kKey, .version = {{kA, 1}}, .body = "old", .written_unix_ms = 9999}),
            Documents::Merge::kUnchanged);
}

TEST(DocumentsTest, ConcurrentWritesAreSettledAlikeAndDeletionWins) {
  Documents a{DeviceId(kA), 1};
  Documents b{DeviceId(kB), 1};
  a.write(kKey, "mine", 7, 1000);
  ASSERT_EQ(b.merge(a.all().at(kKey)), Documents::Merge::kChanged);
  a.write(kKey, "later", 8, 5000);
  b.write(kKey, "higher", 9, 2000);
  const Document from_a = a.all().at(kKey);
  a.merge(b.all().at(kKey));
  b.merge(from_a);
  EXPECT_EQ(a.all().at(kKey), b.all().at(kKey));
  EXPECT_EQ(a.find(kKey)->body, "higher");  // an epoch never falls

  a.remove(kKey, 100);
  b.write(kKey, "planned again", 99, 9000);
  const Document tombstone = a.all().at(kKey);
  a.merge(b.all().at(kKey));
  b.merge(tombstone);
  EXPECT_EQ(a.find(kKey), nullptr);
  EXPECT_EQ(b.find(kKey), nullptr);
}

// Three devices write and merge in any order, and agree as soon as each has heard each other's
// last.
TEST(DocumentsTest, MergesCommute) {
  std::mt19937 random(11);
  for (int round = 0; round < 500; ++round) {
    std::vector<Documents> devices;
    for (const std::string& id : {kA, kB, kC}) devices.emplace_back(DeviceId(id), 1);
    int64_t epoch = 0;
    for (int step = 0; step < 12; ++step) {
      Documents& device = devices[random() % 3];
      const Documents& other = devices[random() % 3];
      if (random() % 2 == 0 && other.all().contains(kKey)) {
        device.merge(other.all().at(kKey));
      } else if (random() % 8 == 0 && device.find(kKey) != nullptr) {
        device.remove(kKey, static_cast<int64_t>(random() % 1000));
      } else if (!device.all().contains(kKey) || device.find(kKey) != nullptr) {
        device.write(kKey, std::to_string(random()), epoch += random() % 2,
                     static_cast<int64_t>(random() % 1000));
      }
    }
    std::vector<Document> last;
    for (const Documents& device : devices) {
      if (device.all().contains(kKey)) last.push_back(device.all().at(kKey));
    }
    for (Documents& device : devices) {
      std::shuffle(last.begin(), last.end(), random);
      for (const Document& document : last) device.merge(document);
    }
    ASSERT_EQ(devices[0].all(), devices[1].all()) << "round " << round;
    ASSERT_EQ(devices[0].all(), devices[2].all()) << "round " << round;
  }
}

TEST(DocumentsTest, DifferencesSayWhoHasNews) {
  Documents a{DeviceId(kA), 1};
  Documents b{DeviceId(kB), 1};
  a.write(kKey, "x", 0, 1);
  b.merge(a.all().at(kKey));
  EXPECT_THAT(a.difference(b.digest()).newer_here, IsEmpty());
  EXPECT_THAT(a.difference(b.digest()).newer_there, IsEmpty());
  b.write(kKey, "y", 0, 2);
  a.write("device/" + kA, "{}", 0, 3);
  const auto difference = a.difference(b.digest());
  ASSERT_EQ(difference.newer_here.size(), 1u);
  EXPECT_EQ(difference.newer_here[0]->key, "device/" + kA);
  EXPECT_THAT(difference.newer_there, ElementsAre(kKey));
}

TEST(DocumentsTest, ANewStartNeverRepeatsAVersion) {
  Documents before{DeviceId(kA), 1};
  before.write(kKey, "stored", 0, 1);
  const Document stored = before.all().at(kKey);
  before.write(kKey, "sent, but lost in the crash", 0, 2);
  Documents after{DeviceId(kA), 2};
  after.load({stored});
  after.write(kKey, "next", 0, 3);
  EXPECT_EQ(compare(after.all().at(kKey).version, before.all().at(kKey).version), Order::kAfter);
}

TEST(DocumentsTest, ADeviceReclaimsItsOwnDocuments) {
  Documents a{DeviceId(kA), 1};
  const std::string key = "device/" + kA;
  a.write(key, "now", 0, 1);
  Document from_before = a.all().at(key);
  from_before.body = "long ago";
  from_before.version[kA] += 1000;
  EXPECT_EQ(a.merge(from_before), Documents::Merge::kReclaim);
  EXPECT_EQ(a.find(key)->body, "now");
  a.write(key, "now", 0, 2);
  EXPECT_EQ(compare(a.all().at(key).version, from_before.version), Order::kAfter);
}

TEST(DocumentsTest, TombstonesAreFewAndYoung) {
  Documents a{DeviceId(kA), 1};
  const int64_t day = 24 * 3600 * 1000;
  for (int i = 0; i < limits::kTombstonesMax + 10; ++i) {
    char key[32];
    std::snprintf(key, sizeof key, "instance/%016x", i);
    a.write(key, "{}", 0, i);
    a.remove(key, day + i);
  }
  EXPECT_EQ(a.prune(day).size(), 10u);
  EXPECT_EQ(a.prune(32 * day).size(), static_cast<size_t>(limits::kTombstonesMax));
  EXPECT_THAT(a.all(), IsEmpty());
}

TEST(DocumentsTest, ForgottenDevicesComeBackOnlyWithNews) {
  Documents a{DeviceId(kA), 1};
  const Document old{.key = "device/" + kB, .version = {{kB, 5}}, .body = "{}"};
  ASSERT_EQ(a.merge(old), Documents::Merge::kChanged);
  a.forget(DeviceId(kB));
  EXPECT_EQ(a.merge(old), Documents::Merge::kUnchanged);
  Document alive = old;
  alive.version[kB] = 6;
  EXPECT_EQ(a.merge(alive), Documents::Merge::kChanged);
}

TEST(DocumentsTest, ThereIsAnEndToGrowth) {
  Documents a{DeviceId(kA), 1};
  for (int i = 0; i < limits::kDocumentsMax + 100; ++i) {
    char key[32];
    std::snprintf(key, sizeof key, "instance/%016x", i);
    a.merge({.key = key, .version = {{kB, 1}}, .body = "{}"});
  }
  EXPECT_EQ(a.all().size(), static_cast<size_t>(limits::kDocumentsMax));
}

}  // namespace
}  // namespace hearth::cluster
