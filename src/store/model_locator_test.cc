#include "store/model_locator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace hearth::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ModelLocatorTest : public testing::Test {
 protected:
  ModelLocatorTest()
      : folder_(fs::path(testing::TempDir()) / ("hearth_locator_" + std::to_string(getpid()))) {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  ~ModelLocatorTest() override { fs::remove_all(folder_); }

  std::string make(const fs::path& file) {
    fs::create_directories((folder_ / file).parent_path());
    std::ofstream(folder_ / file) << "{}";
    return folder_ / file;
  }

  fs::path folder_;
};

TEST_F(ModelLocatorTest, FindsAliasesOfFoldersAndFilesTheFirstRootFirst) {
  make("a/ember/config.json");
  make("b/ember/config.json");
  make("b/small.gguf");
  make("b/notes/readme.txt");
  const ModelLocator locator({folder_ / "a", folder_ / "b", folder_ / "absent"});

  EXPECT_EQ(locator.find("ember").value().path, folder_ / "a/ember");
  EXPECT_EQ(locator.find("small").value().path, folder_ / "b/small.gguf");
  EXPECT_EQ(locator.find("notes").error().code(), Code::kNotFound);
  std::vector<std::string> names;
  for (const LocatedModel& model : locator.list()) names.push_back(model.name);
  EXPECT_THAT(names, testing::ElementsAre("ember", "small"));
}

TEST_F(ModelLocatorTest, TakesPathsAndNamesThemShortly) {
  const std::string file = make("x/Tiny-Q4_0.gguf");
  make("x/hf/config.json");
  make("x/words/tokenizer.json");
  const ModelLocator locator({});

  EXPECT_EQ(locator.find(file).value().name, "Tiny-Q4_0");
  EXPECT_EQ(locator.find(folder_ / "x/hf/").value().name, "hf");
  EXPECT_EQ(locator.find(folder_ / "x/words").value().name, "words");
}

TEST_F(ModelLocatorTest, SaysWhatIsWrong) {
  make("x/readme.txt");
  const ModelLocator locator({folder_ / "models"});
  const auto message = [&](const std::string& model) {
    return locator.find(model).error().message();
  };

  EXPECT_THAT(message("nope"), HasSubstr((folder_ / "models").string()));
  EXPECT_THAT(message(folder_ / "x"), HasSubstr("neither a .gguf file nor a folder with"));
  EXPECT_THAT(message("org/name:Q4_0"), HasSubstr("downloads no models"));
  EXPECT_EQ(locator.find("org/name").error().code(), Code::kUnsupported);
  EXPECT_EQ(locator.find("").error().code(), Code::kInvalidArgument);
}

TEST_F(ModelLocatorTest, LooksBesideTheBinaryAndWhereTheEnvironmentSays) {
  const auto nothing = [](const char*) -> const char* { return nullptr; };
  EXPECT_THAT(ModelLocator::default_roots("/opt/hearth/build", nothing),
              testing::ElementsAre("/opt/hearth/models", "/opt/hearth/share/hearth/models"));
  const auto set = [](const char*) -> const char* { return "/srv/models"; };
  EXPECT_EQ(ModelLocator::default_roots("/opt/hearth/build", set).front(), "/srv/models");
}

}  // namespace
}  // namespace hearth::store
