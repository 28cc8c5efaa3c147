#include "fabric/ucx/library.h"

#include <dlfcn.h>
#include <signal.h>

#include <cstdlib>

namespace hearth::fabric {
namespace {

// A crash is this program's to report, and a peer's death is an error value, not a line of UCX's
// log, which goes to stdout.
void quieten(void* libucs) {
  using DisableSignal = void (*)(int);
  using SetOption = ucs_status_t (*)(const char*, const char*);
  const auto disable_signal =
      reinterpret_cast<DisableSignal>(::dlsym(libucs, "ucs_debug_disable_signal"));
  for (const int number : {SIGILL, SIGSEGV, SIGBUS, SIGFPE}) {
    if (disable_signal != nullptr) disable_signal(number);
  }
  const auto set_option = reinterpret_cast<SetOption>(::dlsym(libucs, "ucs_global_opts_set_value"));
  if (set_option != nullptr && std::getenv("UCX_LOG_LEVEL") == nullptr) {
    set_option("LOG_LEVEL", "fatal");
  }
}

Result<Ucx> load() {
  // Never unloaded: it keeps a thread and thread-local state.
  void* libucp = ::dlopen("libucp.so.0", RTLD_NOW | RTLD_LOCAL);
  void* libucs = libucp == nullptr ? nullptr : ::dlopen("libucs.so.0", RTLD_NOW | RTLD_LOCAL);
  if (libucs == nullptr) return Error(Code::kUnavailable, std::string("UCX: ") + ::dlerror());
  quieten(libucs);
  Ucx functions;
#define HEARTH_UCX_LOAD(name)                                                            \
  functions.name = reinterpret_cast<decltype(functions.name)>(::dlsym(libucp, #name));   \
  if (functions.name == nullptr) {                                                       \
    functions.name = reinterpret_cast<decltype(functions.name)>(::dlsym(libucs, #name)); \
  }                                                                                      \
  if (functions.name == nullptr) return Error(Code::kUnavailable, "this UCX has no " #name);
  HEARTH_UCX_FUNCTIONS(HEARTH_UCX_LOAD)
#undef HEARTH_UCX_LOAD
  return functions;
}

}  // namespace

const Result<Ucx>& ucx() {
  static const Result<Ucx> loaded = load();
  return loaded;
}

}  // namespace hearth::fabric
