#include "daemon/runner/child_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>

namespace hearth::daemon {
namespace {

constexpr int kPatienceMs = 30'000;

std::vector<std::string> shell(const std::string& script) { return {"/bin/sh", "-c", script}; }

TEST(ChildProcessTest, HandsOnLinesAndTellsHowItEnded) {
  std::vector<std::string> lines;  // of the child's thread; read after it ended
  std::string how;
  {
    auto child = ChildProcess::start(
        {.command = shell("echo one >&2; echo unseen; printf 'two\\nhalf' >&2; exit 3"),
         .on_line = [&](std::string_view line) { lines.emplace_back(line); },
         .on_exit = [&](const std::string& text) { how = text; }});
    ASSERT_TRUE(child.ok()) << child.error().message();
    EXPECT_TRUE((*child)->wait_for_exit(kPatienceMs));
    EXPECT_EQ((*child)->ended(), "ended with status 3: half");
  }
  EXPECT_THAT(lines, testing::ElementsAre("one", "two", "half"));
}

TEST(ChildProcessTest, TellsOfAKill) {
  auto child = ChildProcess::start({.command = shell("exec sleep 100")});
  ASSERT_TRUE(child.ok());
  EXPECT_FALSE((*child)->ended().has_value());
  ::kill((*child)->pid(), SIGKILL);
  EXPECT_TRUE((*child)->wait_for_exit(kPatienceMs));
  EXPECT_EQ((*child)->ended(), "was killed by signal 9 (Killed)");
  (*child)->kill();
}

TEST(ChildProcessTest, IsGoneOnceDestroyed) {
  std::atomic<int> exits = 0;
  auto child = ChildProcess::start({.command = shell("trap '' TERM INT HUP; exec sleep 100"),
                                    .on_exit = [&](const std::string&) { ++exits; }});
  ASSERT_TRUE(child.ok());
  const pid_t pid = (*child)->pid();
  child.value().reset();
  EXPECT_EQ(::kill(pid, 0), -1) << "it was reaped too";
  EXPECT_EQ(exits, 0) << "no news after the end";
}

TEST(ChildProcessTest, NamesAProgramThatIsNotThere) {
  const auto child = ChildProcess::start({.command = {"/nonexistent/hearth"}});
  ASSERT_FALSE(child.ok());
  EXPECT_EQ(child.error().message(), "starting /nonexistent/hearth: No such file or directory");
}

}  // namespace
}  // namespace hearth::daemon
