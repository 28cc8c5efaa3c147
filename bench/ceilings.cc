// What the cores that it may use can do at most: plain reading of memory, or the inner loop of
// products of quantised weights. Of one core and of several it shows what they share.
//   taskset -c 0,1 hearth_bench_ceilings read|multiply [megabytes] [seconds]
// One JSON object; the median counts.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/machine.h"

namespace hearth::engine {
namespace {

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

int run(bool read, size_t megabytes, int seconds) {
  auto ceilings = Ceilings::create();
  if (!ceilings.ok()) {
    fmt::print(stderr, "hearth_bench_ceilings: {}\n", ceilings.error().message());
    return 1;
  }
  const std::vector<std::byte> memory(read ? megabytes << 20 : 0, std::byte{1});
  std::vector<double> rates;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  do {
    rates.push_back(read ? (*ceilings)->read_rate(memory)
                         : (*ceilings)->multiply_add_rate(/*quantised=*/true));
  } while (std::chrono::steady_clock::now() < end);
  fmt::print("{{\"giga_per_second\": {:.2f}}}\n", median(std::move(rates)) / 1e9);
  return 0;
}

}  // namespace
}  // namespace hearth::engine

int main(int argc, char** argv) {
  const std::vector<std::string_view> words(argv + 1, argv + argc);
  bool good = !words.empty() && words.size() <= 3 && (words[0] == "read" || words[0] == "multiply");
  int numbers[] = {512, 1};
  for (size_t i = 1; good && i < words.size(); ++i) {
    const char* end = words[i].data() + words[i].size();
    good = std::from_chars(words[i].data(), end, numbers[i - 1]).ptr == end && numbers[i - 1] > 0;
  }
  if (!good) {
    std::fputs("usage: hearth_bench_ceilings read|multiply [megabytes] [seconds]\n", stderr);
    return 2;
  }
  return hearth::engine::run(words[0] == "read", static_cast<size_t>(numbers[0]), numbers[1]);
}
