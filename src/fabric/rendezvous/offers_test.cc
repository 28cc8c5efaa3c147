#include "fabric/rendezvous/offers.h"

#include <gtest/gtest.h>

namespace hearth::fabric {
namespace {

TEST(Offers, ComeBackAsTheyWere) {
  const std::string long_address(4096, 'x');
  const std::string bytes =
      encode_offers({{"ucx", std::string("\0\1\2", 3)}, {"tcp", long_address}});
  const auto offers = decode_offers(bytes);
  ASSERT_TRUE(offers.ok());
  ASSERT_EQ(offers->size(), 2u);
  ASSERT_NE(find_offer(*offers, "ucx"), nullptr);
  EXPECT_EQ(*find_offer(*offers, "ucx"), std::string("\0\1\2", 3));
  EXPECT_EQ(*find_offer(*offers, "tcp"), long_address);
  EXPECT_EQ(find_offer(*offers, "shm"), nullptr);
  EXPECT_TRUE(decode_offers("")->empty());
}

TEST(Offers, TruncatedOnesAreRefused) {
  const std::string bytes = encode_offers({{"ucx", "0123456789"}, {"tcp", "4711"}});
  const size_t first = encode_offers({{"ucx", "0123456789"}}).size();
  for (size_t length = 1; length < bytes.size(); ++length) {
    EXPECT_EQ(decode_offers(bytes.substr(0, length)).ok(), length == first) << length;
  }
}

}  // namespace
}  // namespace hearth::fabric
