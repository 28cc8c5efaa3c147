#include <dirent.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <ostream>

#include "fabric/group_testing.h"

namespace hearth::fabric::testing {

void PrintTo(const Way& way, std::ostream* out) { *out << way.name; }

std::vector<Way> socket_ways() {
  std::vector<Way> ways = {{"tcp", "tcp", ""}};
  if (has_ucx()) {
    ways.push_back({"ucx", "ucx", ""});
    ways.push_back({"ucx_over_tcp", "ucx", "tcp,self"});
    ways.push_back({"shm", "shm", ""});
  }
  return ways;
}

std::vector<Way> all_ways() {
  std::vector<Way> ways = socket_ways();
  ways.push_back({"memory", "memory", ""});
  return ways;
}

WayScope::WayScope(const Way& way) {
  if (!way.ucx_tls.empty()) ::setenv("UCX_TLS", way.ucx_tls.c_str(), 1);
}

WayScope::~WayScope() { ::unsetenv("UCX_TLS"); }

std::vector<std::byte> bytes_of(std::string_view text) {
  const auto* data = reinterpret_cast<const std::byte*>(text.data());
  return {data, data + text.size()};
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::vector<std::byte> pattern(size_t size, int seed) {
  std::vector<std::byte> bytes(size);
  uint64_t state = 0x9E3779B97F4A7C15u * (seed + 1);
  for (size_t at = 0; at < size; at += sizeof state) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    std::memcpy(bytes.data() + at, &state, std::min(sizeof state, size - at));
  }
  return bytes;
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

Joined join_all(const Way& way, int size) {
  Joined joined;
  if (way.transport == "memory") {
    joined.groups = in_memory_groups(size);
    return joined;
  }
  std::vector<std::unique_ptr<Rendezvous>> doors;
  for (int rank = 0; rank < size; ++rank) {
    auto door = Rendezvous::listen("127.0.0.1");
    EXPECT_TRUE(door.ok()) << door.error().message();
    joined.addresses.push_back("127.0.0.1:" + std::to_string((*door)->port()));
    doors.push_back(std::move(*door));
  }
  joined.groups.resize(size);
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      auto group = Group::join(std::move(doors[rank]), {.rank = rank,
                                                        .addresses = joined.addresses,
                                                        .token = "the token of this test",
                                                        .transport = way.transport});
      EXPECT_TRUE(group.ok()) << group.error().message();
      if (group.ok()) joined.groups[rank] = std::move(*group);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return joined;
}

void on_every_rank(Joined* joined, const std::function<void(Group&)>& body) {
  std::vector<std::thread> threads;
  for (auto& group : joined->groups) {
    if (group != nullptr) threads.emplace_back([&] { body(*group); });
  }
  for (std::thread& thread : threads) thread.join();
}

int open_descriptors() {
  DIR* directory = ::opendir("/dev/fd");
  int count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

}  // namespace hearth::fabric::testing
