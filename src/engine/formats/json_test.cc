#include "engine/formats/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/tokenizer/unicode.h"

namespace hearth::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string error_of(std::string_view text, const JsonLimits& limits = {}) {
  const auto parsed = parse_json(text, "f.json", limits);
  EXPECT_FALSE(parsed.ok());
  if (parsed.ok()) return {};
  EXPECT_EQ(parsed.error().code(), Code::kCorrupt);
  EXPECT_THAT(parsed.error().message(), HasSubstr("f.json"));
  return parsed.error().message();
}

TEST(Json, DepthIsBounded) {
  const JsonLimits limits{.depth_max = 3};
  EXPECT_TRUE(parse_json("[[[\"[[[[\\\"[[[[\"]],[[]]]", "f", limits).ok());
  EXPECT_THAT(error_of("[[[[]]]]", limits), AllOf(HasSubstr("byte 3"), HasSubstr("nesting")));
  error_of(std::string(4'000'000, '['));
}

TEST(Json, ValuesAndBytesAreBounded) {
  const JsonLimits limits{.bytes_max = 20, .values_max = 5};
  EXPECT_TRUE(parse_json("[1,2,3]", "f", limits).ok());
  EXPECT_THAT(error_of("[1,2,3,4,5,6]", limits), HasSubstr("more than 5 values"));
  EXPECT_THAT(error_of("[1,2,3]              ", limits), HasSubstr("more than 20 bytes"));
}

TEST(Json, StringsAndWhatLiesBetweenThemAreBounded) {
  const JsonLimits limits{.string_bytes_max = 4, .gap_bytes_max = 6};
  EXPECT_TRUE(parse_json("[\"abc\",   \"abc\"]", "f", limits).ok());
  EXPECT_THAT(error_of("[\"abcd\"]", limits),
              AllOf(HasSubstr("byte 6"), HasSubstr("more than 4 bytes in a string")));
  EXPECT_THAT(error_of(R"(["\\\\"])", limits), HasSubstr("more than 4 bytes in a string"));
  EXPECT_THAT(error_of("[\"abc\",        1]", limits),
              HasSubstr("more than 6 bytes between two strings"));
}

TEST(Json, SyntaxErrorsNameThePlace) {
  EXPECT_THAT(error_of("{\"a\": }"), HasSubstr("column 7"));
  error_of("");
  EXPECT_TRUE(is_valid_utf8(error_of("[\"\xff\"]")));
  error_of("[1] x");
}

TEST(Json, WrongKeysAreNamed) {
  const auto document = parse_json(
      R"({"n":null,"t":"x","i":7,"big":18446744073709551615,"f":1.5,"o":{"i":"x"}})", "f.json", {});
  ASSERT_TRUE(document.ok());
  const auto object = JsonObject::of(*document, "f.json");
  ASSERT_TRUE(object.ok());
  EXPECT_EQ(object->integer("i", 0, 9).value(), 7);
  EXPECT_EQ(object->integer_or("n", 3, 0, 9).value(), 3);
  EXPECT_EQ(object->text_or("none", "z").value(), "z");
  EXPECT_EQ(object->number("i").value(), 7.0);
  EXPECT_THAT(object->integer("i", 0, 5).error().message(),
              HasSubstr("f.json: key i: expected an integer from 0 to 5"));
  EXPECT_FALSE(object->integer("big", 0, INT64_MAX).ok());
  EXPECT_FALSE(object->integer("f", 0, 9).ok());
  EXPECT_FALSE(object->number("t").ok());
  EXPECT_FALSE(object->boolean_or("i", true).ok());
  EXPECT_FALSE(object->array("o").ok());
  const auto inner = object->object("o");
  ASSERT_TRUE(inner.ok());
  EXPECT_THAT(inner->integer("i", 0, 9).error().message(), HasSubstr("f.json: o: key i"));
  EXPECT_FALSE(JsonObject::of(*document->find("i"), "f.json").ok());
}

}  // namespace
}  // namespace hearth::engine
