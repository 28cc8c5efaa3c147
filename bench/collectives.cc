// How long a sum over ranks takes, each a process of its own on this machine.
//   hearth_bench_collectives RANKS TRANSPORT [EFFORT]
// bench/compare_open_mpi runs it in turns with the same loop over Open MPI.
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collectives_calls.h"
#include "fabric/collectives.h"

namespace hearth::fabric {
namespace {

int fail(const Error& error) {
  std::fprintf(stderr, "%s\n", error.message().c_str());
  return 1;
}

// Each rank keeps to a core where there is one for each, as with mpirun.
void keep_to_a_core(int rank, int ranks) {
  if (ranks > static_cast<int>(std::thread::hardware_concurrency())) return;
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(rank, &cores);
  ::sched_setaffinity(0, sizeof cores, &cores);
}

int be_a_rank(std::unique_ptr<Rendezvous> door, const GroupOptions& options, int effort) {
  keep_to_a_core(options.rank, static_cast<int>(options.addresses.size()));
  auto group = Group::join(std::move(door), options);
  if (!group.ok()) return fail(group.error());
  std::vector<int> all;
  for (int rank = 0; rank < (*group)->size(); ++rank) all.push_back(rank);
  auto team = Collectives::create(**group, all);
  if (!team.ok()) return fail(team.error());
  Result<void> result;
  bench::measure_sums(options.rank == 0, effort, [&](float* data, size_t count) {
    if (result.ok()) result = (*team)->all_reduce({data, count});
  });
  if (result.ok()) result = (*group)->barrier();
  return result.ok() ? 0 : fail(result.error());
}

int run(int ranks, const std::string& transport, int effort) {
  GroupOptions options{.token = "a bench", .transport = transport};
  std::vector<std::unique_ptr<Rendezvous>> doors;
  for (int rank = 0; rank < ranks; ++rank) {
    auto door = Rendezvous::listen("127.0.0.1");
    if (!door.ok()) return fail(door.error());
    options.addresses.push_back("127.0.0.1:" + std::to_string((*door)->port()));
    doors.push_back(std::move(*door));
  }
  for (options.rank = 0; options.rank < ranks; ++options.rank) {
    if (::fork() == 0) {
      const int status = be_a_rank(std::move(doors[options.rank]), options, effort);
      std::fflush(stdout);
      ::_exit(status);
    }
  }
  int worst = 0;
  for (int status = 0; ::wait(&status) > 0;) worst |= status;
  return worst == 0 ? 0 : 1;
}

}  // namespace
}  // namespace hearth::fabric

int main(int argc, char** argv) {
  const int ranks = argc >= 3 ? std::atoi(argv[1]) : 0;
  const int effort = argc == 4 ? std::atoi(argv[3]) : 1;
  if (ranks < 1 || effort < 1 || argc > 4) {
    std::fprintf(stderr, "usage: hearth_bench_collectives RANKS TRANSPORT [EFFORT]\n");
    return 2;
  }
  return hearth::fabric::run(ranks, argv[2], effort);
}
