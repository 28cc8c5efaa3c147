#include "cluster/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "cluster/testing/process.h"

namespace hearth::cluster {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

void overwrite(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

int mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
  return static_cast<int>(status.st_mode & 0777);
}

TEST(IdentityTest, IsMadeOnceAndKept) {
  ScratchDirectory scratch;
  const std::string directory = scratch.path() + "/new/place";
  const auto made = Identity::load_or_create(directory);
  ASSERT_TRUE(made.ok()) << made.error().message();
  EXPECT_THAT(made->id.str(), MatchesRegex("[0-9a-f]{64}"));
  EXPECT_EQ(*device_id_of(made->certificate_pem), made->id);
  EXPECT_EQ(mode_of(directory + "/device.key"), 0600);
  EXPECT_EQ(mode_of(directory + "/device.crt"), 0600);

  const auto loaded = Identity::load_or_create(directory);
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded->id, made->id);
  EXPECT_EQ(loaded->certificate_pem, made->certificate_pem);
  EXPECT_EQ(loaded->private_key_pem, made->private_key_pem);

  ScratchDirectory other;
  EXPECT_NE(Identity::load_or_create(other.path())->id, made->id);
}

TEST(IdentityTest, AKeyReadableForOthersIsClosed) {
  ScratchDirectory scratch;
  ASSERT_TRUE(Identity::load_or_create(scratch.path()).ok());
  ::chmod((scratch.path() + "/device.key").c_str(), 0644);
  ASSERT_TRUE(Identity::load_or_create(scratch.path()).ok());
  EXPECT_EQ(mode_of(scratch.path() + "/device.key"), 0600);
}

TEST(IdentityTest, DamageIsSaidWithARemedy) {
  ScratchDirectory scratch;
  const std::string certificate = scratch.path() + "/device.crt";
  const std::string key = scratch.path() + "/device.key";
  const Identity good = *Identity::load_or_create(scratch.path());
  ScratchDirectory elsewhere;
  const Identity stranger = *Identity::load_or_create(elsewhere.path());

  const auto expect_corrupt = [&](const char* what) {
    const auto loaded = Identity::load_or_create(scratch.path());
    ASSERT_FALSE(loaded.ok());
    EXPECT_EQ(loaded.error().code(), Code::kCorrupt);
    EXPECT_THAT(loaded.error().message(), HasSubstr(what));
    EXPECT_THAT(loaded.error().message(), HasSubstr("remove " + certificate));
  };
  overwrite(certificate, good.certificate_pem.substr(0, 100));
  expect_corrupt("not a certificate");
  overwrite(certificate, "");
  expect_corrupt("not a certificate");
  overwrite(certificate, good.certificate_pem);
  overwrite(key, "nonsense");
  expect_corrupt("not a private key");
  overwrite(key, stranger.private_key_pem);
  expect_corrupt("does not belong");
  std::filesystem::remove(key);
  expect_corrupt("is missing");
  // The remedy works.
  std::filesystem::remove(certificate);
  const auto anew = Identity::load_or_create(scratch.path());
  ASSERT_TRUE(anew.ok());
  EXPECT_NE(anew->id, good.id);
}

TEST(IdentityTest, WhatIsNoCertificateHasNoId) {
  EXPECT_EQ(device_id_of("").error().code(), Code::kInvalidArgument);
  EXPECT_EQ(device_id_of(std::string(1 << 20, 'x')).error().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace hearth::cluster
