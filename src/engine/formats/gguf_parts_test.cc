#include "engine/formats/gguf_parts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/formats/test_files.h"
#include "engine/model_files.h"
#include "engine/tokenizer.h"

namespace hearth::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kWhole[] = "gguf/llama.gguf";

// The golden llama, cut into parts of the names and keys that gguf-split gives them.
class SplitGguf : public ::testing::Test {
 protected:
  struct Part {
    int number = 0;
    int count = 3;
    int tensors_of_all = 0;
    size_t first = 0;  // of its tensors, in the whole file
    size_t last = 0;
  };

  SplitGguf()
      : content_(read_file(golden(kWhole))), whole_(*GgufFile::parse(bytes_of(content_), kWhole)) {
    const int all = static_cast<int>(whole_.tensors().size());
    for (int number = 0; number < 3; ++number) {
      const auto cut = [&](int n) { return whole_.tensors().size() * n / 3; };
      write(
          {.number = number, .tensors_of_all = all, .first = cut(number), .last = cut(number + 1)});
    }
  }

  static std::string name_of(int number, int count = 3) {
    return "m-0000" + std::to_string(number + 1) + "-of-0000" + std::to_string(count) + ".gguf";
  }
  std::string path_of(int number) const { return folder_.path() + "/" + name_of(number); }

  std::string write(const Part& part) const { return write(part, name_of(part.number)); }
  std::string write(const Part& part, const std::string& name) const {
    GgufBuilder builder;
    uint64_t values = 3;
    if (part.number == 0) {  // the metadata is in the first part alone
      constexpr size_t kFirstPair = 24;
      const size_t end = content_.find(GgufBuilder::text(whole_.tensors()[0].name));
      builder.values.push_back(content_.substr(kFirstPair, end - kFirstPair));
      uint64_t count = 0;
      std::memcpy(&count, content_.data() + 16, sizeof count);
      values += count;
    }
    builder.add_int("split.no", part.number);
    builder.add_int("split.count", part.count);
    builder.add_int("split.tensors.count", part.tensors_of_all);
    for (size_t i = part.first; i < part.last; ++i) {
      const FileTensor& tensor = whole_.tensors()[i];
      const std::vector<uint64_t> dimensions(tensor.shape.rbegin(), tensor.shape.rend());
      const uint32_t type = tensor.encoding == Encoding::kF32 ? 0 : 30;  // or BF16
      builder.add_tensor(tensor.name, dimensions, type, tensor.bytes.size());
      std::memcpy(builder.data.data() + builder.data.size() - tensor.bytes.size(),
                  tensor.bytes.data(), tensor.bytes.size());
    }
    return folder_.write(name, builder.build(part.last - part.first, values));
  }

  std::string error(const std::string& path, Code code) const {
    const auto parts = open_gguf_parts(path);
    EXPECT_FALSE(parts.ok());
    if (parts.ok()) return {};
    EXPECT_EQ(parts.error().code(), code) << parts.error().message();
    return parts.error().message();
  }

  TemporaryFolder folder_;
  std::string content_;
  GgufFile whole_;
};

TEST_F(SplitGguf, AnyPartOpensTheWholeModel) {
  const auto whole = ModelFiles::open(golden(kWhole));
  ASSERT_TRUE(whole.ok());
  for (int number = 0; number < 3; ++number) {
    const auto files = ModelFiles::open(path_of(number));
    ASSERT_TRUE(files.ok()) << files.error().message();
    EXPECT_EQ((*files)->spec().rope.frequency_divisors, (*whole)->spec().rope.frequency_divisors);
    EXPECT_EQ((*files)->shard_bytes({0, 3}), (*whole)->shard_bytes({0, 3}));
    for (const std::string name : {"model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight",
                                   "lm_head.weight", "model.layers.2.mlp.down_proj.weight"}) {
      const auto expected = (*whole)->tensor(name);
      const auto tensor = (*files)->tensor(name);
      ASSERT_TRUE(expected.ok() && tensor.ok()) << name;
      EXPECT_TRUE(std::ranges::equal(tensor->bytes, expected->bytes)) << name;
    }
    const auto tokenizer = Tokenizer::load(path_of(number));
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message();
    EXPECT_GT((*tokenizer)->size(), 0);
  }
}

TEST_F(SplitGguf, AMissingPartIsNamed) {
  std::filesystem::remove(path_of(1));
  EXPECT_THAT(error(path_of(2), Code::kNotFound), HasSubstr(name_of(1)));
}

TEST_F(SplitGguf, TheNameMustSayWhichPartItIs) {
  std::filesystem::copy_file(path_of(1), folder_.path() + "/other.gguf");
  EXPECT_THAT(error(folder_.path() + "/other.gguf", Code::kCorrupt),
              AllOf(HasSubstr("other.gguf"), HasSubstr("-00002-of-00003.gguf")));
  std::filesystem::rename(path_of(1), path_of(2));
  EXPECT_THAT(error(path_of(0), Code::kNotFound), HasSubstr(name_of(1)));
  std::filesystem::copy_file(path_of(2), path_of(1));
  EXPECT_THAT(error(path_of(0), Code::kCorrupt),
              AllOf(HasSubstr(name_of(2)), HasSubstr("part 2 of 3"), HasSubstr("part 3 of 3")));
}

TEST_F(SplitGguf, PartsOfAnotherModelAreRefused) {
  const int all = static_cast<int>(whole_.tensors().size());
  write({.number = 2, .count = 4, .tensors_of_all = all, .first = 20, .last = all + 0u});
  EXPECT_THAT(error(path_of(0), Code::kCorrupt),
              AllOf(HasSubstr(name_of(2)), HasSubstr("part 3 of 4")));
  write({.number = 2, .tensors_of_all = all + 1, .first = 20, .last = all + 0u});
  EXPECT_THAT(error(path_of(0), Code::kCorrupt),
              AllOf(HasSubstr(name_of(2)), HasSubstr(std::to_string(all + 1) + " tensors")));
}

TEST_F(SplitGguf, EveryTensorIsThereOnce) {
  const size_t all = whole_.tensors().size();
  const Part last{.number = 2, .tensors_of_all = static_cast<int>(all), .first = all * 2 / 3};
  Part repeats = last;
  repeats.first = 0;
  repeats.last = all;
  write(repeats);
  EXPECT_THAT(error(path_of(0), Code::kCorrupt),
              AllOf(HasSubstr(whole_.tensors()[0].name), HasSubstr("two parts")));
  Part short_of_one = last;
  short_of_one.last = all - 1;
  write(short_of_one);
  EXPECT_THAT(error(path_of(0), Code::kCorrupt),
              AllOf(HasSubstr(name_of(0)), HasSubstr("split.tensors.count")));
}

TEST_F(SplitGguf, TheKeysMustMakeSense) {
  GgufBuilder builder;
  builder.add_int("split.no", 3);
  builder.add_int("split.count", 3);
  builder.add_int("split.tensors.count", 1);
  EXPECT_THAT(error(folder_.write(name_of(0), builder.build()), Code::kCorrupt),
              AllOf(HasSubstr(name_of(0)), HasSubstr("split.no")));
}

}  // namespace
}  // namespace hearth::engine
