#include "engine/formats/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include "engine/formats/test_files.h"

namespace hearth::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Error error_of(const std::string& file) {
  const auto parsed = parse_safetensors(bytes_of(file), "f.safetensors");
  return parsed.ok() ? Error(Code::kInternal, "no error") : parsed.error();
}

// The message of a file that must be refused as corrupt.
std::string corrupt(const std::string& file) {
  const Error error = error_of(file);
  EXPECT_EQ(error.code(), Code::kCorrupt) << error.message();
  EXPECT_THAT(error.message(), HasSubstr("f.safetensors"));
  return error.message();
}

std::string corrupt_header(const std::string& header, size_t data_bytes = 8) {
  return corrupt(safetensors(header, std::string(data_bytes, 'x')));
}

TEST(Safetensors, ReadsTensorsOfEveryRank) {
  const std::string file = safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[],"data_offsets":[12,16]},)"
      R"("a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},)"
      R"("c":{"dtype":"I64","shape":[0],"data_offsets":[16,16]}}   )",
      "abcdefghijklmnop");
  const auto tensors = parse_safetensors(bytes_of(file), "f");
  ASSERT_TRUE(tensors.ok()) << tensors.error().message();
  ASSERT_EQ(tensors->size(), 3u);
  const FileTensor& b = (*tensors)[0];
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.encoding, Encoding::kF32);
  EXPECT_TRUE(b.shape.empty());
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(b.bytes.data()), b.bytes.size()), "mnop");
  const FileTensor& a = (*tensors)[1];
  EXPECT_EQ(a.encoding, Encoding::kBF16);
  EXPECT_THAT(a.shape, ElementsAre(2, 3));
  const auto view = view_of(a, "f");
  ASSERT_TRUE(view.ok());
  EXPECT_EQ(view->rows, 2);
  EXPECT_EQ(view->columns, 3);
  EXPECT_EQ((*tensors)[2].encoding, std::nullopt);
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string file =
      safetensors(R"({"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]}})", "12345678");
  ASSERT_TRUE(parse_safetensors(bytes_of(file), "f").ok());
  for (size_t size = 0; size < file.size(); ++size) corrupt(file.substr(0, size));
}

TEST(Safetensors, HeaderLengthIsChecked) {
  EXPECT_THAT(corrupt(little_endian<uint64_t>(UINT64_MAX) + "{}"), HasSubstr("byte 0"));
  EXPECT_THAT(corrupt(little_endian<uint64_t>(INT64_MAX) + "{}"), HasSubstr("byte 0"));
  EXPECT_THAT(corrupt(little_endian<uint64_t>(3) + "{}"), HasSubstr("byte 0"));
}

TEST(Safetensors, HeadersOfAnotherShapeAreRefused) {
  for (const char* header :
       {"",
        "[]",
        "x",
        "{",
        "{\"a\"",
        "{\"a\":1}",
        "{\"a\":[]}",
        "{\"a\":\"b\"}",
        "{\"a\":null}",
        "{\"a\":{}}",
        "{\"__metadata__\":1}",
        "{\"__metadata__\":{\"a\":[1]}}",
        "{\"__metadata__\":{\"a\":{}}}",
        R"({"a":{"dtype":"F16","shape":[4]}})",
        R"({"a":{"dtype":"F16","data_offsets":[0,8]}})",
        R"({"a":{"shape":[4],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F16","dtype":"F16","shape":[4],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F16","shape":[4],"shape":[4],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F16","shape":[[4]],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F16","shape":[4.0],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F16","shape":[-4],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F16","shape":["4"],"data_offsets":[0,8]}})",
        R"({"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8],"more":true}})",
        R"({"a":{"dtype":"F16","shape":[1,1,1,1,1,1,1,1,4],"data_offsets":[0,8]}})",
        "{\"\xff\":{}}"}) {
    corrupt_header(header);
  }
}

TEST(Safetensors, ShapesAndOffsetsMustAgree) {
  const auto tensor = [](const std::string& shape, const std::string& offsets) {
    return R"({"a":{"dtype":"F16","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  ASSERT_TRUE(
      parse_safetensors(bytes_of(safetensors(tensor("[4]", "[0,8]"), "12345678")), "f").ok());
  EXPECT_THAT(corrupt_header(tensor("[5]", "[0,8]")), HasSubstr("expected 10"));
  EXPECT_THAT(corrupt_header(tensor("[4]", "[8,0]")), HasSubstr("data_offsets"));
  EXPECT_THAT(corrupt_header(tensor("[4]", "[1,9]")), HasSubstr("within the 8 bytes"));
  EXPECT_THAT(corrupt_header(tensor("[4]", "[0]")), HasSubstr("data_offsets"));
  EXPECT_THAT(corrupt_header(tensor("[4]", "[0,8,8]")), HasSubstr("data_offsets"));
  EXPECT_THAT(corrupt_header(tensor("[4]", "[0,18446744073709551615]")), HasSubstr("too large"));
  // Products that would wrap to the right size.
  EXPECT_THAT(corrupt_header(tensor("[4294967296,4294967296,4]", "[0,8]")), HasSubstr("too large"));
  EXPECT_THAT(corrupt_header(tensor("[9223372036854775807]", "[0,8]")), HasSubstr("too large"));
}

TEST(Safetensors, EveryByteBelongsToOneTensor) {
  const std::string overlapping =
      R"({"a":{"dtype":"F16","shape":[4],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[2],"data_offsets":[6,10]}})";
  EXPECT_THAT(corrupt_header(overlapping, 10),
              AllOf(HasSubstr("tensor b"), HasSubstr("overlaps tensor a")));
  const std::string hole =
      R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"b":{"dtype":"F16","shape":[2],"data_offsets":[6,10]}})";
  EXPECT_THAT(corrupt_header(hole, 10), HasSubstr("cover 8 bytes, expected all 10"));
  EXPECT_THAT(corrupt_header("{}", 1), HasSubstr("cover 0 bytes"));
  const std::string twice =
      R"({"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},"a":{"dtype":"F16","shape":[2],"data_offsets":[4,8]}})";
  EXPECT_THAT(corrupt_header(twice), HasSubstr("tensor a occurs twice"));
}

TEST(Safetensors, UnknownTypesAreNamed) {
  const Error unknown =
      error_of(safetensors(R"({"a":{"dtype":"F7","shape":[4],"data_offsets":[0,8]}})", "12345678"));
  EXPECT_EQ(unknown.code(), Code::kUnsupported);
  EXPECT_THAT(unknown.message(), AllOf(HasSubstr("tensor a"), HasSubstr("F7")));

  // Types of the format that Hearth does not compute with are measured, and refused when they are
  // used.
  const std::string fp8 =
      safetensors(R"({"a":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}})", "12345678");
  const auto tensors = parse_safetensors(bytes_of(fp8), "f");
  ASSERT_TRUE(tensors.ok());
  const auto view = view_of(tensors->front(), "f");
  ASSERT_FALSE(view.ok());
  EXPECT_EQ(view.error().code(), Code::kUnsupported);
  EXPECT_THAT(view.error().message(), AllOf(HasSubstr("tensor a"), HasSubstr("F8_E4M3")));
}

// A header of nothing but nesting or of endless values costs no more than its own size.
TEST(Safetensors, HostileHeadersCostLittle) {
  corrupt_header(std::string(50'000'000, '['));
  std::string nested;
  for (int i = 0; i < 5'000'000; ++i) nested += "{\"a\":";
  corrupt_header(nested);
  std::string numbers = R"({"a":{"shape":[)";
  for (int i = 0; i < 10'000'000; ++i) numbers += "1,";
  EXPECT_THAT(corrupt_header(numbers), HasSubstr("more than 8 numbers"));
  std::string tensors = "{";
  for (int i = 0; i < 300'000; ++i) {
    tensors += R"("a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},)";
  }
  EXPECT_THAT(corrupt_header(tensors), HasSubstr("more than 262144 tensors"));
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_LT(usage.ru_maxrss, 1 << 20) << "kilobytes";
}

}  // namespace
}  // namespace hearth::engine
