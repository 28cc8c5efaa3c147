#include "fabric/transport.h"

#include <fmt/format.h>

#include <new>

#include "fabric/tcp/tcp_transport.h"
#include "fabric/ucx/ucx_transport.h"

namespace hearth::fabric {

Result<std::byte*> Destination::reserve(size_t bytes) const {
  if (growing_ != nullptr) {
    try {
      growing_->resize(bytes);
    } catch (const std::bad_alloc&) {
      return Error(Code::kResourceExhausted,
                   fmt::format("no memory for a message of {} bytes", bytes));
    }
    return growing_->data();
  }
  if (bytes > fixed_.size()) {
    return Error(Code::kCorrupt,
                 fmt::format("a message of {} bytes came where at most {} were expected", bytes,
                             fixed_.size()));
  }
  return fixed_.data();
}

std::vector<std::string> transport_names() {
  if (has_ucx()) return {"ucx", "tcp"};
  return {"tcp"};
}

Result<std::unique_ptr<Transport>> make_transport(std::string_view name,
                                                  const std::string& listen_host) {
  if (name == "tcp") return TcpTransport::make(listen_host);
  if (name == "ucx") return make_ucx_transport(UcxReach::kAnywhere);
  if (name == "shm") return make_ucx_transport(UcxReach::kSameHost);
  return Error(Code::kInvalidArgument,
               fmt::format("no transport is called '{}'; there are ucx, shm, tcp and auto", name));
}

}  // namespace hearth::fabric
