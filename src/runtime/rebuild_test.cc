// A rank dies as processes do, and the others go on in a new group with the models they have. This
// program is its own second and third rank: with `--as-rank` it loads a part of Ember once, and
// joins groups as its standard input says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "fabric/child_testing.h"
#include "runtime/executor.h"
#include "runtime/instance.h"
#include "runtime/test_model.h"

namespace hearth::runtime {
namespace {

using fabric::testing::Child;
using testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr int kRanks = 3;

// How three ranks share Ember.
struct Cut {
  const char* name;
  int stages;
  std::vector<double> shares;
};
const Cut kCuts[] = {{"pipeline", 3, {}}, {"tensor", 1, {1, 1, 1}}};

std::unique_ptr<engine::RankModel> load_part(const Cut& cut, int rank) {
  return load_rank(*open_files(ember_path()), rank, cut.stages, {}, cut.shares);
}

std::unique_ptr<fabric::Rendezvous> open_door() {
  auto door = fabric::Rendezvous::listen("127.0.0.1");
  EXPECT_TRUE(door.ok());
  return std::move(door).value();
}

Result<std::unique_ptr<fabric::Group>> join(std::unique_ptr<fabric::Rendezvous> door, int rank,
                                            const std::string& token,
                                            std::vector<std::string> addresses) {
  return fabric::Group::join(
      std::move(door),
      {.rank = rank, .addresses = std::move(addresses), .token = token, .transport = "tcp"});
}

// Again and again: prints its port, reads token and addresses, joins, follows until the group
// fails, and prints why.
int be_a_rank(const Cut& cut, int rank) {
  const auto model = load_part(cut, rank);
  while (true) {
    auto door = open_door();
    std::cout << door->port() << std::endl;
    std::string line;
    if (!std::getline(std::cin, line)) return 0;
    std::istringstream words(line);
    std::string token;
    words >> token;
    std::vector<std::string> addresses;
    for (std::string address; words >> address;) addresses.push_back(address);
    auto group = join(std::move(door), rank, token, std::move(addresses));
    std::cout << (group.ok() ? follow(*model, **group) : group.error()).message() << std::endl;
  }
}

class RebuildTest : public testing::TestWithParam<Cut> {
 protected:
  std::unique_ptr<Child> start(int rank) const {
    return std::make_unique<Child>(
        std::vector<std::string>{"--as-rank", GetParam().name, std::to_string(rank)});
  }

  std::unique_ptr<Instance> gather(const std::string& token) {
    auto door = open_door();
    std::vector<std::string> addresses = {"127.0.0.1:" + std::to_string(door->port())};
    for (const auto& child : children_) addresses.push_back("127.0.0.1:" + child->hear());
    std::string line = token;
    for (const std::string& address : addresses) line += " " + address;
    for (const auto& child : children_) child->tell(line);
    auto group = join(std::move(door), 0, token, addresses);
    EXPECT_TRUE(group.ok()) << group.error().message();
    auto instance = Instance::start({.name = "ember",
                                     .files = files_.get(),
                                     .tokenizer = tokenizer_,
                                     .model = model_,
                                     .group = std::move(*group)});
    EXPECT_TRUE(instance.ok()) << instance.error().message();
    return std::move(*instance);
  }

  // The tokens of an answer, or why there is none. `at_work` is called at the first token.
  static Result<std::vector<int32_t>> ask(
      Instance& instance, int tokens, const std::function<void()>& at_work = [] {}) {
    std::promise<Result<std::vector<int32_t>>> answer;
    std::vector<int32_t> ids;
    const auto generation =
        instance.generate({.prompt = TextPrompt{"Once upon a time"},
                           .sampling = {.temperature = 0.8f, .seed = 7},
                           .max_tokens = tokens,
                           .ignore_eos = true},
                          [&](const GenerateEvent& event) {
                            if (const auto* delta = std::get_if<Delta>(&event)) {
                              if (ids.empty()) at_work();
                              ids.insert(ids.end(), delta->ids.begin(), delta->ids.end());
                            } else if (const auto* error = std::get_if<Error>(&event)) {
                              answer.set_value(*error);
                            } else if (std::holds_alternative<Finished>(event)) {
                              answer.set_value(ids);
                            }
                          });
    return answer.get_future().get();
  }

  const std::unique_ptr<engine::ModelFiles> files_ = open_files(ember_path());
  const std::shared_ptr<const engine::Tokenizer> tokenizer_ =
      engine::Tokenizer::load(ember_path()).value();
  const std::shared_ptr<engine::RankModel> model_ = load_part(GetParam(), 0);
  std::vector<std::unique_ptr<Child>> children_;  // ranks 1 and 2
};

TEST_P(RebuildTest, RanksThatLiveGoOnWithTheModelsTheyHave) {
  children_.push_back(start(1));
  children_.push_back(start(2));
  auto instance = gather("first");
  const auto expected = ask(*instance, 30);
  ASSERT_TRUE(expected.ok()) << expected.error().message();

  Clock::time_point killed;
  const auto broken = ask(*instance, 900, [&] {
    killed = Clock::now();
    children_[1]->signal(SIGKILL);
  });
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().code(), Code::kUnavailable);
  EXPECT_THAT(broken.error().message(), HasSubstr("rank 2 at 127.0.0.1:"));
  EXPECT_THAT(children_[0]->hear(), HasSubstr("rank 2 at 127.0.0.1:"));
  EXPECT_LT(Clock::now() - killed, std::chrono::seconds(2));

  instance = nullptr;
  children_[1] = start(2);
  instance = gather("second");
  const auto again = ask(*instance, 30);
  ASSERT_TRUE(again.ok()) << again.error().message();
  EXPECT_EQ(*again, *expected);
}

INSTANTIATE_TEST_SUITE_P(Cuts, RebuildTest, testing::ValuesIn(kCuts),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace hearth::runtime

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--as-rank") {
    const bool pipeline = argv[2] == std::string(hearth::runtime::kCuts[0].name);
    return hearth::runtime::be_a_rank(hearth::runtime::kCuts[pipeline ? 0 : 1], std::atoi(argv[3]));
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
