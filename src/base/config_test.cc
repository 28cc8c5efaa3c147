#include "base/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <map>

namespace hearth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

std::string file_with(const std::string& text) {
  static int count = 0;
  const std::string path = testing::TempDir() + "config_test_" + std::to_string(getpid()) + "_" +
                           std::to_string(count++) + ".toml";
  std::ofstream(path) << text;
  return path;
}

TEST(Config, EnvironmentBeatsFile) {
  const std::string path =
      file_with("port = 1\npeer = ['a:1', 'b:2']\njson = true\ndata-dir = '/d'");
  const auto config =
      Config::load(path, environment({{"HEARTH_DATA_DIR", "/e"}, {"HEARTH_PEER", "c:3,d:4"}}));
  ASSERT_TRUE(config.ok());
  EXPECT_THAT(config->values("port"), Optional(ElementsAre("1")));
  EXPECT_THAT(config->values("peer"), Optional(ElementsAre("c:3", "d:4")));
  EXPECT_THAT(config->values("data-dir"), Optional(ElementsAre("/e")));
  EXPECT_THAT(config->values("json"), Optional(ElementsAre("true")));
  EXPECT_EQ(config->values("name"), std::nullopt);
  EXPECT_THAT(config->file_keys(), ElementsAre("data-dir", "json", "peer", "port"));
}

TEST(Config, AFileThatIsNotThereIsEmpty) {
  const auto config = Config::load("/nonexistent/config.toml", environment({}));
  ASSERT_TRUE(config.ok());
  EXPECT_TRUE(config->file_keys().empty());
}

TEST(Config, MistakesNameFileAndLine) {
  const std::string broken = file_with("port = 1\nname = \n");
  const auto result = Config::load(broken, environment({}));
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message(), HasSubstr(broken + ":2"));

  const std::string nested = file_with("[server]\nport = 1\n");
  const auto table = Config::load(nested, environment({}));
  ASSERT_FALSE(table.ok());
  EXPECT_THAT(table.error().message(), HasSubstr("'server' is a table"));
}

TEST(Directories, FollowXdg) {
  const Directories plain = directories(environment({{"HOME", "/home/ada"}}));
  EXPECT_EQ(plain.config, "/home/ada/.config/hearth");
  EXPECT_EQ(plain.data, "/home/ada/.local/share/hearth");
  EXPECT_EQ(plain.cache, "/home/ada/.cache/hearth");

  const Directories moved = directories(environment({{"HOME", "/home/ada"},
                                                     {"XDG_CONFIG_HOME", "/etc/xdg"},
                                                     {"XDG_CACHE_HOME", "relative/is/ignored"},
                                                     {"HEARTH_DATA_DIR", "/srv/hearth"}}));
  EXPECT_EQ(moved.config, "/etc/xdg/hearth");
  EXPECT_EQ(moved.data, "/srv/hearth");
  EXPECT_EQ(moved.cache, "/home/ada/.cache/hearth");
}

}  // namespace
}  // namespace hearth
