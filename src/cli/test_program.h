// Running `hearth` as a user does, for tests.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace hearth::cli {

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// A folder of this test process, removed at its end.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "hearth-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  std::string file(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

struct Ran {
  int status = -1;  // exit status
  std::string out;
  std::string err;
};

// Runs the built program with `arguments`; `input` is its standard input, and `data_dir` has what
// this machine's daemon keeps, if anything.
inline Ran run_hearth(const std::vector<std::string>& arguments, const std::string& input = "",
                      const std::string& data_dir = "/nowhere") {
  const TestFolder folder;
  std::ofstream(folder.file("in"), std::ios::binary) << input;
  const auto quoted = [](const std::string& word) {
    std::string text(1, '\'');
    for (const char c : word) {
      if (c == '\'') text.append("'\\'");  // ends the quotes, adds a quote, and goes on below
      text.push_back(c);
    }
    text.push_back('\'');
    return text;
  };
  static const TestFolder cache;  // of all programs of this test process
  std::string command = "HEARTH_MODELS_DIR=";
  command.append(quoted(HEARTH_SOURCE_DIR "/models"));
  command.append(" HEARTH_DATA_DIR=").append(quoted(data_dir));
  command.append(" XDG_CACHE_HOME=").append(quoted(cache.file("cache")));
  command.append(" ").append(quoted(HEARTH_BINARY));
  for (const std::string& argument : arguments) command.append(" ").append(quoted(argument));
  command.append(" <").append(folder.file("in"));
  command.append(" >").append(folder.file("out"));
  command.append(" 2>").append(folder.file("err"));
  const int status = std::system(command.c_str());
  return {.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1,
          .out = read_file(folder.file("out")),
          .err = read_file(folder.file("err"))};
}

}  // namespace hearth::cli
