#include "daemon/runner.h"

#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>

#include "base/limits.h"
#include "base/log.h"
#include "daemon/runner/service.h"

namespace hearth::daemon {
namespace {

constexpr std::chrono::milliseconds kShutdownTimeout(200);

// A runner dies with its parent, and before it when memory runs out.
void become_expendable() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_IGN);
  std::ofstream("/proc/self/oom_score_adj") << 500;
}

enum class Ending { kAsked, kParentGone };

// Until a shutdown is asked for (`asked` becomes readable) or stdin ends.
Ending wait_for_end(int asked) {
  std::array<pollfd, 2> files{
      {{.fd = asked, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}}};
  for (;;) {
    if (poll(files.data(), files.size(), -1) < 0 && errno == EINTR) continue;
    if (files[0].revents != 0) return Ending::kAsked;
    if (files[1].revents == 0) continue;
    std::array<char, 64> ignored;
    if (read(STDIN_FILENO, ignored.data(), ignored.size()) <= 0) return Ending::kParentGone;
  }
}

}  // namespace

Result<void> run_runner(const std::string& socket_path) {
  log::configure({.level = log::Level::kWarn});
  become_expendable();
  umask(0077);
  const int asked = eventfd(0, EFD_CLOEXEC);
  if (asked < 0) return Error(Code::kInternal, "eventfd failed");
  RunnerService service([asked] {
    const uint64_t one = 1;
    if (write(asked, &one, sizeof(one)) < 0) std::_Exit(1);
  });

  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits::kRpcMessageBytesMax));
  builder.AddListeningPort("unix:" + socket_path, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    return Error(Code::kUnavailable, "cannot listen on " + socket_path + ": is its folder there?");
  }
  // Nobody is left to tell, and work in flight need not be waited for.
  if (wait_for_end(asked) == Ending::kParentGone) std::_Exit(0);
  service.end_watches();
  server->Shutdown(std::chrono::system_clock::now() + kShutdownTimeout);
  close(asked);
  return {};
}

}  // namespace hearth::daemon
