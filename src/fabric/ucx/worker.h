// One UCX context with one worker: where UCX is configured, driven and put to sleep. Private to
// ucx/.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "fabric/rendezvous/socket.h"
#include "fabric/ucx/library.h"
#include "fabric/ucx/ucx_transport.h"

namespace hearth::fabric {

// Used by one thread at a time.
class UcxWorker {
 public:
  // `local_hosts` as Transport::local_address has them. kUnavailable with UCX's words.
  static Result<std::unique_ptr<UcxWorker>> make(const Ucx& ucx, UcxReach reach,
                                                 std::span<const std::string> local_hosts);
  ~UcxWorker();

  // Whether UCX takes shared memory for peers on this host: it does, unless UCX_TLS says what it
  // may take.
  bool shares_memory() const { return shares_memory_; }
  ucp_worker_h handle() const { return worker_; }
  // How peers reach this worker: over everything, or (UCP_WORKER_ADDRESS_FLAG_NET_ONLY) over
  // networks only.
  Result<std::string> address(unsigned flags) const;

  // kUnavailable when UCX has none of the network devices behind this machine's address
  // `local_host`. What UCX_NET_DEVICES chooses is not judged, nor what is unknown.
  Result<void> check_way_from(const std::string& local_host) const;

  // Whether anything moved.
  bool progress() const { return ucx_.ucp_worker_progress(worker_) != 0; }
  // Until something may move, the alarm rings or `timeout_ms` (-1: none) have passed.
  void sleep(const Alarm& alarm, int timeout_ms) const;

 private:
  explicit UcxWorker(const Ucx& ucx) : ucx_(ucx) {}

  Result<void> start(UcxReach reach, std::span<const std::string> local_hosts);

  const Ucx& ucx_;
  ucp_context_h context_ = nullptr;
  ucp_worker_h worker_ = nullptr;
  int event_fd_ = -1;  // UCX's
  bool shares_memory_ = false;
};

}  // namespace hearth::fabric
