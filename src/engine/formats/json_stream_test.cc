#include "engine/formats/json_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace hearth::engine {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// What stream_json makes of a text with the lists "items" and "box.items": each element, as
// list:key=value, then the rest.
std::string streamed(std::string_view text) {
  std::string all;
  const auto reader = [&](const std::string& name) {
    return [&all, name](const std::string* key, const json& element) -> Result<void> {
      all += name + ":" + (key == nullptr ? "" : *key) + "=" + element.dump() + " ";
      if (element == "bad") return Error(Code::kCorrupt, "a bad element");
      return {};
    };
  };
  const JsonList lists[] = {{"", "items", reader("top")}, {"box", "items", reader("box")}};
  const auto rest = stream_json(text, "f.json", {}, lists);
  return rest.ok() ? all + rest->dump() : rest.error().message();
}

TEST(JsonStream, GivesElementsAndKeepsTheRest) {
  EXPECT_EQ(streamed(R"({"a":[1,{"items":[2]}],"items":[3,[4,{"b":5}],"x"],"c":null})"),
            R"(top:=3 top:=[4,{"b":5}] top:="x" {"a":[1,{"items":[2]}],"c":null,"items":[]})");
  EXPECT_EQ(streamed(R"({"box":{"items":{"a":1.5,"b":[true],"":{}},"d":-6},"e":"f"})"),
            R"(box:a=1.5 box:b=[true] box:={} {"box":{"d":-6,"items":{}},"e":"f"})");
}

TEST(JsonStream, WhatIsElsewhereOrNoListIsKept) {
  for (const std::string text :
       {R"({"items":7})", R"({"box":[{"items":[1]}]})", R"({"box":{"in":{"items":[1]}}})",
        R"([{"items":[1]}])", R"({"x":{"items":[1]}})", R"("items")"}) {
    EXPECT_EQ(streamed(text), text);
  }
}

TEST(JsonStream, ErrorsNameThePlace) {
  EXPECT_EQ(streamed(R"({"items":["good","bad"],)"), "a bad element");
  EXPECT_THAT(streamed(R"({"items":[1],"items":[2]})"),
              HasSubstr("f.json: key items occurs twice"));
  EXPECT_THAT(streamed(R"({"items":[1,})"), HasSubstr("f.json: parse error at line 1, column 13"));
  EXPECT_THAT(streamed(R"({"items":[1]} x)"), HasSubstr("column 15"));
  std::string nulls = "null";
  for (int i = 0; i < 64; ++i) nulls += ",null";
  EXPECT_THAT(streamed("{\"items\":[[" + nulls + "]]}"),
              HasSubstr("f.json: an element of items: more than 64 values"));
  EXPECT_THAT(streamed("{\"items\":[\"" + std::string(70'000, 'x') + "\"]}"),
              HasSubstr("65536 bytes of text"));
  for (int i = 0; i < 20'000; ++i) nulls += ",null";
  EXPECT_THAT(streamed("[" + nulls + "]"), HasSubstr("f.json: more than 20000 values"));
}

}  // namespace
}  // namespace hearth::engine
