// Groups for tests: every rank in one process, each driven by its own thread.
#pragma once

#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "fabric/group.h"
#include "fabric/ucx/ucx_transport.h"

namespace hearth::fabric::testing {

// A way of talking, as tests are parameterised over it.
struct Way {
  std::string name;       // of the test
  std::string transport;  // GroupOptions::transport; "memory" for in_memory_groups
  std::string ucx_tls;    // UCX_TLS while it runs, "" to leave it alone
};
// For GoogleTest, which would list the bytes.
void PrintTo(const Way& way, std::ostream* out);

// Those that this build has.
std::vector<Way> all_ways();
std::vector<Way> socket_ways();

// Sets UCX_TLS for as long as it lives.
class WayScope {
 public:
  explicit WayScope(const Way& way);
  ~WayScope();
};

std::vector<std::byte> bytes_of(std::string_view text);
std::string text_of(std::span<const std::byte> bytes);
// `size` bytes that differ with `seed` and position.
std::vector<std::byte> pattern(size_t size, int seed);
bool same(std::span<const std::byte> a, std::span<const std::byte> b);

// Within this time everyone knows of a rank's end; sanitizers slow everything down.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr std::chrono::seconds kNoticedWithin{6};
#else
inline constexpr std::chrono::seconds kNoticedWithin{2};
#endif

struct Joined {
  std::vector<std::unique_ptr<Group>> groups;
  std::vector<std::string> addresses;
};
// Fails the test when a rank cannot join.
Joined join_all(const Way& way, int size);

// Runs `body(group)` on every rank at once and waits for all.
void on_every_rank(Joined* joined, const std::function<void(Group&)>& body);

int open_descriptors();

}  // namespace hearth::fabric::testing
