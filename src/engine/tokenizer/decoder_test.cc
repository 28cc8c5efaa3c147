#include "engine/tokenizer/decoder.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

std::string decode(const DecoderStep& step, std::string_view token, bool first = false) {
  return Decoder({step}).bytes(token, first);
}

TEST(Decoder, Steps) {
  EXPECT_EQ(decode(decoding::ByteLevel{}, "\u0120a"), " a");
  EXPECT_EQ(decode(decoding::ByteLevel{}, "a b\u0120"), "a b\u0120");
  EXPECT_EQ(decode(decoding::ByteFallback{}, "<0xC3>"), "\xc3");
  EXPECT_EQ(decode(decoding::ByteFallback{}, "<0xc3>"), "\xc3");
  EXPECT_EQ(decode(decoding::ByteFallback{}, "<0xG3>"), "<0xG3>");
  EXPECT_EQ(decode(decoding::ByteFallback{}, "<0xC3"), "<0xC3");
  EXPECT_EQ(decode(decoding::Replace{"\u2581", " "}, "\u2581a\u2581"), " a ");
  EXPECT_EQ(decode(decoding::Strip{" ", 1, 2}, "  a   "), " a ");
  EXPECT_EQ(decode(decoding::Strip{" ", 5, 5}, "   "), "");
}

TEST(Decoder, WhatATextBeginsWith) {
  const decoding::Metaspace metaspace{"\u2581"};
  EXPECT_EQ(decode(metaspace, "\u2581a\u2581", true), "a");
  EXPECT_EQ(decode(metaspace, "\u2581a\u2581", false), " a ");
  EXPECT_EQ(decode(decoding::Metaspace{"\u2581", false}, "\u2581a", true), " a");
  EXPECT_EQ(decode(decoding::StripStart{" "}, "  a", true), " a");
  EXPECT_EQ(decode(decoding::StripStart{" "}, " a", false), " a");
  EXPECT_EQ(decode(decoding::Spaces{}, "a", true), "a");
  EXPECT_EQ(decode(decoding::Spaces{}, "a", false), " a");
  EXPECT_EQ(Decoder().bytes("a", true), "a");
}

}  // namespace
}  // namespace hearth::engine
