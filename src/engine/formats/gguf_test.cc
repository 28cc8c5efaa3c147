#include "engine/formats/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/formats/test_files.h"

namespace hearth::engine {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

Error error_of(const std::string& file) {
  const auto parsed = GgufFile::parse(bytes_of(file), "f.gguf");
  return parsed.ok() ? Error(Code::kInternal, "no error") : parsed.error();
}

std::string corrupt(const std::string& file) {
  const Error error = error_of(file);
  EXPECT_EQ(error.code(), Code::kCorrupt) << error.message();
  EXPECT_THAT(error.message(), HasSubstr("f.gguf"));
  return error.message();
}

// A value of every type, and two tensors.
GgufBuilder sample() {
  GgufBuilder builder;
  builder.add("u8", 0, little_endian<uint8_t>(200));
  builder.add("i8", 1, little_endian<int8_t>(-3));
  builder.add("u16", 2, little_endian<uint16_t>(60000));
  builder.add("i16", 3, little_endian<int16_t>(-300));
  builder.add("u32", 4, little_endian<uint32_t>(4'000'000'000));
  builder.add("i32", 5, little_endian<int32_t>(-70000));
  builder.add("f32", 6, little_endian(0.5f));
  builder.add("bool", 7, "\x01");
  builder.add("text", 8, GgufBuilder::text("hi"));
  builder.add("u64", 10, little_endian<uint64_t>(UINT64_MAX));
  builder.add("i64", 11, little_endian<int64_t>(INT64_MIN));
  builder.add("f64", 12, little_endian(0.25));
  builder.add_texts("texts", {"a", "", "ccc"});
  builder.add_ints("ints", {1, -2, 3});
  builder.add_tensor("t.weight", {64, 3}, 8, 2 * 34 * 3);
  builder.add_tensor("v.weight", {5}, 0, 20);
  return builder;
}

TEST(Gguf, ReadsEveryValueType) {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder builder = sample();
    builder.version = version;
    const std::string file = builder.build();
    const auto gguf = GgufFile::parse(bytes_of(file), "f");
    ASSERT_TRUE(gguf.ok()) << gguf.error().message();
    EXPECT_EQ(gguf->integer("u8", 0, INT64_MAX).value(), 200);
    EXPECT_EQ(gguf->integer("i8", INT64_MIN, INT64_MAX).value(), -3);
    EXPECT_EQ(gguf->integer("u16", 0, INT64_MAX).value(), 60000);
    EXPECT_EQ(gguf->integer("i16", INT64_MIN, INT64_MAX).value(), -300);
    EXPECT_EQ(gguf->integer("u32", 0, INT64_MAX).value(), 4'000'000'000);
    EXPECT_EQ(gguf->integer("i32", INT64_MIN, INT64_MAX).value(), -70000);
    EXPECT_EQ(gguf->integer("i64", INT64_MIN, INT64_MAX).value(), INT64_MIN);
    EXPECT_FALSE(gguf->integer("u64", INT64_MIN, INT64_MAX).ok());
    EXPECT_EQ(gguf->number("f32").value(), 0.5);
    EXPECT_EQ(gguf->number("f64").value(), 0.25);
    EXPECT_EQ(gguf->number("u8").value(), 200);
    EXPECT_TRUE(gguf->boolean_or("bool", false).value());
    EXPECT_EQ(gguf->text("text").value(), "hi");
    EXPECT_THAT(gguf->texts("texts").value(), ElementsAre("a", "", "ccc"));
    EXPECT_THAT(gguf->integers("ints").value(), ElementsAre(1, -2, 3));
  }
}

TEST(Gguf, ReadsTensorsSlowestDimensionFirst) {
  GgufBuilder builder = sample();
  builder.data[2 * 34 * 3 - 1] = 'z';
  const std::string file = builder.build();
  const auto gguf = GgufFile::parse(bytes_of(file), "f");
  ASSERT_TRUE(gguf.ok()) << gguf.error().message();
  ASSERT_EQ(gguf->tensors().size(), 2u);
  const FileTensor& tensor = gguf->tensors()[0];
  EXPECT_EQ(tensor.name, "t.weight");
  EXPECT_EQ(tensor.encoding, Encoding::kQ8_0);
  EXPECT_THAT(tensor.shape, ElementsAre(3, 64));
  ASSERT_EQ(tensor.bytes.size(), 204u);
  EXPECT_EQ(tensor.bytes.back(), std::byte{'z'});
}

TEST(Gguf, WrongTypesNameTheKey) {
  const std::string file = sample().build();
  const auto gguf = GgufFile::parse(bytes_of(file), "f.gguf");
  ASSERT_TRUE(gguf.ok());
  for (const auto& message :
       {gguf->integer("text", 0, 9).error().message(), gguf->number("text").error().message(),
        gguf->boolean_or("text", true).error().message(), gguf->texts("text").error().message(),
        gguf->integers("text").error().message()}) {
    EXPECT_THAT(message, AllOf(HasSubstr("f.gguf: key text: expected")));
  }
  EXPECT_THAT(gguf->text("u8").error().message(), HasSubstr("key u8: expected a string"));
  EXPECT_THAT(gguf->text("texts").error().message(), HasSubstr("expected a string"));
  EXPECT_THAT(gguf->integers("texts").error().message(), HasSubstr("array of integers"));
  EXPECT_THAT(gguf->integer("missing", 1, 9).error().message(),
              HasSubstr("key missing: expected an integer from 1 to 9"));
  EXPECT_THAT(gguf->integer("u8", 0, 9).error().message(), HasSubstr("from 0 to 9"));
}

TEST(Gguf, EveryTruncationIsRefused) {
  const std::string file = sample().build();
  ASSERT_TRUE(GgufFile::parse(bytes_of(file), "f").ok());
  for (size_t size = 0; size < file.size(); ++size) corrupt(file.substr(0, size));
}

TEST(Gguf, OtherFilesAndVersionsAreRefused) {
  EXPECT_THAT(corrupt("PK\x03\x04 and more"), HasSubstr("expected the letters GGUF"));
  GgufBuilder builder;
  for (const uint32_t version : {0u, 1u, 4u, 0x03000000u}) {
    builder.version = version;
    const Error error = error_of(builder.build());
    EXPECT_EQ(error.code(), Code::kUnsupported) << version;
  }
  EXPECT_THAT(error_of(builder.build()).message(), HasSubstr("big-endian"));
}

TEST(Gguf, AbsurdCountsAreRefusedBeforeAllocating) {
  const GgufBuilder builder = sample();
  for (const uint64_t count : {uint64_t{1} << 20, uint64_t{1} << 62, UINT64_MAX}) {
    EXPECT_THAT(corrupt(builder.build(count, 0)), HasSubstr("byte 8: tensor count"));
    EXPECT_THAT(corrupt(builder.build(0, count)), HasSubstr("byte 16: metadata count"));
    GgufBuilder array;
    array.add("a", 9, little_endian<uint32_t>(4) + little_endian(count));
    EXPECT_THAT(corrupt(array.build()), AllOf(HasSubstr("key a"), HasSubstr("array length")));
    GgufBuilder texts;
    texts.add("a", 9, little_endian<uint32_t>(8) + little_endian(count));
    EXPECT_THAT(corrupt(texts.build()), AllOf(HasSubstr("key a"), HasSubstr("array length")));
    GgufBuilder text;
    text.add("a", 8, little_endian(count));
    EXPECT_THAT(corrupt(text.build()), AllOf(HasSubstr("key a"), HasSubstr("the file ends")));
  }
}

TEST(Gguf, BadMetadataIsRefused) {
  GgufBuilder type;
  type.add("a", 13, "");
  EXPECT_THAT(corrupt(type.build()), HasSubstr("value type 13"));
  GgufBuilder nested;
  nested.add("a", 9, little_endian<uint32_t>(9) + little_endian<uint64_t>(1));
  EXPECT_EQ(error_of(nested.build()).code(), Code::kUnsupported);
  GgufBuilder twice;
  twice.add_int("a", 1);
  twice.add_int("a", 1);
  EXPECT_THAT(corrupt(twice.build()), HasSubstr("key a occurs twice"));
  GgufBuilder alignment;
  alignment.add_int("general.alignment", 48);
  EXPECT_THAT(corrupt(alignment.build()), HasSubstr("general.alignment: expected a power of two"));
}

TEST(Gguf, TextsAreUtf8) {
  GgufBuilder key;
  key.add_int("a\xff", 1);
  EXPECT_THAT(corrupt(key.build()), HasSubstr("key of 2 bytes"));
  GgufBuilder tensor;
  tensor.add_tensor("\xff", {4}, 0, 16);
  EXPECT_THAT(corrupt(tensor.build()), HasSubstr("tensor name of 1 bytes"));
  GgufBuilder empty;
  empty.add_int("", 1);
  EXPECT_THAT(corrupt(empty.build()), HasSubstr("key of 0 bytes"));
  GgufBuilder value;
  value.add_text("a", "\xff");
  value.add_texts("b", {"x", "\xff"});
  value.add_tensor("t", {4}, 0, 16);
  const std::string file = value.build();
  const auto gguf = GgufFile::parse(bytes_of(file), "f");
  ASSERT_TRUE(gguf.ok());
  EXPECT_THAT(gguf->text("a").error().message(), HasSubstr("key a: expected UTF-8"));
  EXPECT_THAT(gguf->texts("b").error().message(), HasSubstr("key b: expected UTF-8"));
}

TEST(Gguf, BadTensorsAreRefused) {
  const auto with = [](const std::vector<uint64_t>& dimensions, uint32_t type, uint64_t offset) {
    GgufBuilder builder;
    builder.add_entry("t", dimensions, type, offset);
    builder.data.resize(256);
    return builder.build();
  };
  ASSERT_TRUE(GgufFile::parse(bytes_of(with({32}, 0, 128)), "f").ok());
  EXPECT_THAT(corrupt(with({32}, 0, 160)), HasSubstr("within the 256 bytes"));
  EXPECT_THAT(corrupt(with({32}, 0, 16)), HasSubstr("multiple of 32"));
  EXPECT_THAT(corrupt(with({32}, 0, UINT64_MAX - 31)), HasSubstr("tensor t"));
  EXPECT_THAT(corrupt(with({65}, 0, 0)), HasSubstr("within the 256 bytes"));
  EXPECT_THAT(corrupt(with({31}, 2, 0)), HasSubstr("do not fill Q4_0 blocks"));
  EXPECT_THAT(corrupt(with({16, 2}, 2, 0)), HasSubstr("do not fill Q4_0 blocks"));
  EXPECT_THAT(corrupt(with({1, 1, 1, 1, 1}, 0, 0)), HasSubstr("5 dimensions"));
  EXPECT_THAT(corrupt(with({uint64_t{1} << 32, uint64_t{1} << 32, 2}, 0, 0)), HasSubstr("2^63"));
  EXPECT_THAT(corrupt(with({UINT64_MAX}, 0, 0)), HasSubstr("2^63"));
  EXPECT_THAT(corrupt(with({uint64_t{1} << 62}, 0, 0)), HasSubstr("tensor t"));
}

TEST(Gguf, TensorsMustNotOverlapOrRepeat) {
  GgufBuilder overlapping;
  overlapping.add_tensor("a", {16}, 0, 64);
  overlapping.add_entry("b", {8}, 0, 32);
  EXPECT_THAT(corrupt(overlapping.build()),
              AllOf(HasSubstr("tensor b"), HasSubstr("overlaps tensor a")));
  GgufBuilder twice;
  twice.add_tensor("a", {8}, 0, 32);
  twice.add_tensor("a", {8}, 0, 32);
  EXPECT_THAT(corrupt(twice.build()), HasSubstr("tensor a occurs twice"));
}

TEST(Gguf, AlignmentIsTheFiles) {
  GgufBuilder builder;
  builder.alignment = 128;
  builder.add_int("general.alignment", 128);
  builder.add_tensor("a", {4}, 0, 16);
  builder.add_tensor("b", {4}, 0, 16);
  builder.data[128] = 'b';
  const std::string file = builder.build();
  const auto gguf = GgufFile::parse(bytes_of(file), "f");
  ASSERT_TRUE(gguf.ok()) << gguf.error().message();
  EXPECT_EQ(gguf->tensors()[1].bytes[0], std::byte{'b'});
}

TEST(Gguf, TypesWithoutArithmeticAreNamed) {
  GgufBuilder builder;
  builder.add_tensor("k", {256}, 21, 110);
  builder.add_tensor("n", {8}, 99, 0);
  const std::string file = builder.build();
  const auto gguf = GgufFile::parse(bytes_of(file), "f");
  ASSERT_TRUE(gguf.ok()) << gguf.error().message();
  EXPECT_EQ(gguf->tensors()[0].bytes.size(), 110u);
  EXPECT_THAT(view_of(gguf->tensors()[0], "f").error().message(),
              AllOf(HasSubstr("tensor k"), HasSubstr("IQ3_S")));
  EXPECT_THAT(view_of(gguf->tensors()[1], "f").error().message(),
              AllOf(HasSubstr("tensor n"), HasSubstr("number 99")));
}

}  // namespace
}  // namespace hearth::engine
