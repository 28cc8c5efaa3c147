// libucp, loaded when a rank first needs it and not before: loading it installs handlers for
// SIGSEGV and friends, and a device without UCX installed should still run. Private to ucx/.
#pragma once

#include <ucp/api/ucp.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>

#include "base/result.h"

namespace hearth::fabric {

// The functions of UCX that Hearth calls, by their own names.
#define HEARTH_UCX_FUNCTIONS(X)     \
  X(ucp_config_read)                \
  X(ucp_config_modify)              \
  X(ucp_config_release)             \
  X(ucp_init_version)               \
  X(ucp_cleanup)                    \
  X(ucp_context_print_info)         \
  X(ucp_worker_create)              \
  X(ucp_worker_destroy)             \
  X(ucp_worker_query)               \
  X(ucp_worker_release_address)     \
  X(ucp_worker_get_efd)             \
  X(ucp_worker_arm)                 \
  X(ucp_worker_progress)            \
  X(ucp_worker_set_am_recv_handler) \
  X(ucp_ep_create)                  \
  X(ucp_ep_close_nbx)               \
  X(ucp_ep_flush_nbx)               \
  X(ucp_ep_print_info)              \
  X(ucp_am_send_nbx)                \
  X(ucp_am_recv_data_nbx)           \
  X(ucp_am_data_release)            \
  X(ucp_request_check_status)       \
  X(ucp_request_free)               \
  X(ucs_status_string)

struct Ucx {
#define HEARTH_UCX_POINTER(name) decltype(&::name) name = nullptr;
  HEARTH_UCX_FUNCTIONS(HEARTH_UCX_POINTER)
#undef HEARTH_UCX_POINTER
};

// What one of UCX's functions prints of `handle`. Later versions than Debian 12's have calls for
// some of it.
template <class Handle>
std::string printed(void (*print)(Handle, FILE*), std::type_identity_t<Handle> handle) {
  char* text = nullptr;
  size_t bytes = 0;
  FILE* stream = ::open_memstream(&text, &bytes);
  if (stream == nullptr) return {};
  print(handle, stream);
  ::fclose(stream);
  std::string copy(text, bytes);
  ::free(text);
  return copy;
}

// Loads UCX on the first call; kUnavailable says why it cannot be. Thread-safe.
const Result<Ucx>& ucx();

}  // namespace hearth::fabric
