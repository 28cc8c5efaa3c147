#include "cluster/state/store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "cluster/state/store_writer.h"
#include "cluster/testing/process.h"

namespace hearth::cluster {
namespace {

using testing::HasSubstr;

const std::string kA(64, 'a');

Document document(const std::string& body, uint64_t count = 1) {
  return {.key = "instance/0123456789abcdef",
          .version = {{kA, count}, {std::string(64, 'b'), 1ull << 40}},
          .body = body,
          .epoch = 7,
          .written_unix_ms = 99};
}

TEST(StoreTest, KeepsWhatItIsGiven) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/state.db";
  {
    auto store = Store::open(path, 1000);
    ASSERT_TRUE(store.ok()) << store.error().message();
    EXPECT_EQ((*store)->contents().boot, 1u);
    EXPECT_EQ((*store)->contents().joined_unix_ms, 1000);
    Document deleted = document("");
    deleted.key = "instance/fedcba9876543210";
    deleted.deleted = true;
    Document gone = document("x");
    gone.key = "instance/ffffffffffffffff";
    ASSERT_TRUE(
        (*store)
            ->apply({.save = {document("old"), deleted, gone},
                     .remember = {{DeviceId(kA), "10.0.0.1:1"}, {DeviceId("b"), "10.0.0.2:1"}}})
            .ok());
    ASSERT_TRUE(
        (*store)
            ->apply({.save = {document("new", 2)}, .erase = {gone.key}, .forget = {DeviceId("b")}})
            .ok());
  }
  auto store = Store::open(path, 2000);
  ASSERT_TRUE(store.ok());
  const Store::Contents& contents = (*store)->contents();
  EXPECT_EQ(contents.boot, 2u);
  EXPECT_EQ(contents.joined_unix_ms, 1000);
  ASSERT_EQ(contents.documents.size(), 2u);
  EXPECT_EQ(contents.documents[0], document("new", 2));
  EXPECT_TRUE(contents.documents[1].deleted);
  ASSERT_EQ(contents.addresses.size(), 1u);
  EXPECT_EQ(contents.addresses[0].address, "10.0.0.1:1");
}

// Killed while it writes, again and again: what was confirmed is there, and the file is sound.
TEST(StoreTest, SurvivesKill) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/state.db";
  for (int round = 0; round < 5; ++round) {
    int confirmed[2];
    ASSERT_EQ(pipe(confirmed), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = Store::open(path, 1);
      for (uint64_t count = 1; store.ok(); ++count) {
        if (!(*store)->apply({.save = {document(std::string(20'000, 'x'), count)}}).ok()) break;
        if (write(confirmed[1], &count, sizeof count) < 0) break;
      }
      _exit(1);
    }
    close(confirmed[1]);
    uint64_t last = 0;
    for (int i = 0; i < 20 + round; ++i) ASSERT_EQ(read(confirmed[0], &last, sizeof last), 8);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    for (uint64_t more = 0; read(confirmed[0], &more, sizeof more) == 8;) last = more;
    close(confirmed[0]);

    auto store = Store::open(path, 1);
    ASSERT_TRUE(store.ok()) << store.error().message();
    EXPECT_EQ((*store)->contents().boot, static_cast<uint64_t>(2 * round + 2));
    ASSERT_EQ((*store)->contents().documents.size(), 1u);
    EXPECT_GE((*store)->contents().documents[0].version.at(kA), last);
  }
}

TEST(StoreTest, DamageIsSaidWithARemedy) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/state.db";
  std::ofstream(path) << "this is not a database, although it is long enough to be taken for one";
  auto opened = Store::open(path, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::kCorrupt);
  EXPECT_THAT(opened.error().message(), HasSubstr("move it away"));

  // Damage in the middle of a real one.
  std::filesystem::remove(path);
  {
    auto store = Store::open(path, 1);
    Store::Changes changes;
    for (int i = 0; i < 100; ++i) {
      Document one = document(std::string(2000, 'x'));
      one.key = "instance/" + std::to_string(1'000'000'000'000'000 + i);
      changes.save.push_back(one);
    }
    ASSERT_TRUE((*store)->apply(changes).ok());
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    for (int i = 0; i < 8192; ++i) file.put('\x5a');
  }
  opened = Store::open(path, 1);
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code(), Code::kCorrupt);
}

TEST(StoreTest, OneProcessAtATime) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/state.db";
  auto first = Store::open(path, 1);
  ASSERT_TRUE(first.ok());
  const auto second = Store::open(path, 1);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code(), Code::kAlreadyExists);
  EXPECT_EQ(Store::open(scratch.path() + "/no/such/place", 1).error().code(), Code::kInternal);
}

TEST(StoreWriterTest, ConfirmsAndWritesTheRestAtTheEnd) {
  ScratchDirectory scratch;
  const std::string path = scratch.path() + "/state.db";
  int confirmed = 0;
  {
    StoreWriter writer(std::move(*Store::open(path, 1)));
    for (uint64_t count = 1; count <= 100; ++count) {
      writer.write({.save = {document("x", count)}}, [&confirmed](const Result<void>& outcome) {
        confirmed += outcome.ok() ? 1 : 0;
      });
    }
  }
  EXPECT_EQ(confirmed, 100);
  EXPECT_EQ((*Store::open(path, 1))->contents().documents.at(0).version.at(kA), 100u);
}

}  // namespace
}  // namespace hearth::cluster
