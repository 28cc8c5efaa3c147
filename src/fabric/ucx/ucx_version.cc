#include <dlfcn.h>
#include <fmt/format.h>

#include "fabric/ucx/library.h"
#include "fabric/ucx_version.h"

namespace hearth::fabric {

Result<std::string> ucx_version() {
  if (!ucx().ok()) return ucx().error();
  // Loaded already, and not needed by any transport.
  void* libucp = ::dlopen("libucp.so.0", RTLD_NOW | RTLD_LOCAL);
  const auto get =
      libucp == nullptr
          ? nullptr
          : reinterpret_cast<decltype(&::ucp_get_version)>(::dlsym(libucp, "ucp_get_version"));
  if (get == nullptr) return Error(Code::kUnavailable, "this UCX has no ucp_get_version");
  unsigned major = 0, minor = 0, release = 0;
  get(&major, &minor, &release);
  return fmt::format("{}.{}.{}", major, minor, release);
}

}  // namespace hearth::fabric
