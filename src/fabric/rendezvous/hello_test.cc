#include "fabric/rendezvous/hello.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace hearth::fabric {
namespace {

using ::testing::HasSubstr;

const Party kListener{.rank = 0, .group_size = 3, .purpose = Purpose::kControl, .token = "secret"};
const Party kDialer{.rank = 2, .group_size = 3, .purpose = Purpose::kControl, .token = "secret"};
const std::vector<bool> kExpected = {false, true, true};

// Carries bytes between the two until one fails or both are done; the dialer's and listener's
// results.
std::pair<Result<void>, Result<void>> introduce(Introduction* dialer, Introduction* listener) {
  Result<void> dialed, listened;
  std::string to_listener, to_dialer;
  const auto feed = [](Introduction* side, std::string* bytes, Result<void>* result) {
    while (result->ok() && !side->done() && bytes->size() >= side->wanted()) {
      const size_t wanted = side->wanted();
      *result = side->feed(std::string_view(*bytes).substr(0, wanted));
      bytes->erase(0, wanted);
    }
  };
  for (int turn = 0; turn < 4; ++turn) {
    to_listener += dialer->take_outgoing();
    feed(listener, &to_listener, &listened);
    to_dialer += listener->take_outgoing();
    feed(dialer, &to_dialer, &dialed);
  }
  return {dialed, listened};
}

TEST(Hello, BothSidesLearnWhoTheOtherIs) {
  Introduction dialer = Introduction::dialer(kDialer, 0);
  Introduction listener = Introduction::listener(kListener, kExpected);
  const auto [dialed, listened] = introduce(&dialer, &listener);
  EXPECT_TRUE(dialed.ok() && listened.ok());
  EXPECT_TRUE(dialer.done() && listener.done());
  EXPECT_EQ(dialer.peer(), 0);
  EXPECT_EQ(listener.peer(), 2);
}

TEST(Hello, TheTokenNeverCrossesTheWire) {
  Introduction dialer = Introduction::dialer(kDialer, 0);
  Introduction listener = Introduction::listener(kListener, kExpected);
  std::string wire = dialer.take_outgoing();
  ASSERT_TRUE(listener.feed(wire).ok());
  const std::string answer = listener.take_outgoing();
  ASSERT_TRUE(dialer.feed(answer).ok());
  wire += answer + dialer.take_outgoing();
  EXPECT_THAT(wire, ::testing::Not(HasSubstr("secret")));
}

TEST(Hello, AProofIsGoodForOneConnectionOnly) {
  Introduction dialer = Introduction::dialer(kDialer, 0);
  Introduction first = Introduction::listener(kListener, kExpected);
  const std::string hello = dialer.take_outgoing();
  ASSERT_TRUE(first.feed(hello).ok());
  ASSERT_TRUE(dialer.feed(first.take_outgoing()).ok());
  const std::string proof = dialer.take_outgoing();
  Introduction second = Introduction::listener(kListener, kExpected);
  ASSERT_TRUE(second.feed(hello).ok());
  const auto replayed = second.feed(proof);
  ASSERT_FALSE(replayed.ok());
  EXPECT_EQ(replayed.error().code(), Code::kPermissionDenied);
}

TEST(Hello, BothSidesRefuseAnotherToken) {
  Party other = kDialer;
  other.token = "guess";
  Introduction dialer = Introduction::dialer(other, 0);
  Introduction listener = Introduction::listener(kListener, kExpected);
  const auto [dialed, listened] = introduce(&dialer, &listener);
  ASSERT_FALSE(dialed.ok());
  ASSERT_FALSE(listened.ok());
  EXPECT_EQ(dialed.error().code(), Code::kPermissionDenied);
  EXPECT_EQ(listened.error().code(), Code::kPermissionDenied);
}

// Somebody who listens at a rank's address and welcomes everyone.
TEST(Hello, TheDialerRefusesAListenerWithoutTheToken) {
  Introduction dialer = Introduction::dialer(kDialer, 0);
  dialer.take_outgoing();
  const Hello fake{.group_size = 3, .from = 0, .to = 2};
  ASSERT_TRUE(dialer.feed(fake.encode()).ok());
  ASSERT_TRUE(dialer.feed("\x01").ok());
  const auto result = dialer.feed(std::string(32, 'x'));
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kPermissionDenied);
}

TEST(Hello, RefusesWhoIsNotExpected) {
  Party twin = kDialer, other_group = kDialer, data = kDialer;
  twin.rank = 1;
  other_group.group_size = 4;
  data.purpose = Purpose::kData;
  for (const Party& party : {twin, other_group, data}) {
    Introduction dialer = Introduction::dialer(party, 0);
    Introduction listener = Introduction::listener(kListener, {false, false, true});
    const auto [dialed, listened] = introduce(&dialer, &listener);
    EXPECT_FALSE(dialed.ok());
    EXPECT_FALSE(listened.ok());
  }
}

TEST(Hello, AnotherVersionIsNamed) {
  Hello newer{.version = 9, .group_size = 3, .from = 0, .to = 2};
  Introduction dialer = Introduction::dialer(kDialer, 0);
  const auto result = dialer.feed(newer.encode());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code(), Code::kUnsupported);
  EXPECT_THAT(result.error().message(), HasSubstr("version 9"));

  newer.from = 2;
  newer.to = 0;
  Introduction listener = Introduction::listener(kListener, kExpected);
  EXPECT_FALSE(listener.feed(newer.encode()).ok());
  // The newer dialer is told this version, so that it can say the same.
  const auto answer = Hello::decode(listener.take_outgoing());
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->version, kProtocolVersion);
}

TEST(Hello, NoiseNeverGetsIn) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    Introduction listener = Introduction::listener(kListener, kExpected);
    Result<void> result;
    bool first = true;
    while (result.ok() && !listener.done()) {
      std::string bytes(listener.wanted(), '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      // Every other round begins like a rank.
      if (first && round % 2 == 0) bytes.replace(0, 6, Hello{}.encode().substr(0, 6));
      first = false;
      result = listener.feed(bytes);
    }
    ASSERT_FALSE(result.ok());
  }
}

}  // namespace
}  // namespace hearth::fabric
