#include "fabric/ucx/worker.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <set>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "fabric/common/devices.h"
#include "fabric/common/lanes.h"

namespace hearth::fabric {
namespace {

using Settings = std::vector<std::pair<const char*, std::string>>;

// Names as in `ucx_info -cf`, without UCX_ and, for those of one UCX transport, without its prefix:
// that is how ucp_config_modify finds them. The environment's UCX_* still stand where nothing is
// set here.
Settings settings_of(UcxReach reach, std::span<const std::string> local_hosts) {
  Settings settings = {
      // Without it, shared memory is passed over for endpoints that handle errors, as all here do.
      {"MM_ERROR_HANDLING", "y"},
      // No cache of registered memory: it would patch mmap and munmap of the whole process.
      {"RCACHE_ENABLE", "n"},
      {"REG_METHODS", "direct"},
      // Over TCP a message that was copied counts as sent while its tail still waits for room in
      // the socket,
      // for as long as nobody drives UCX. Sent from where it lies, it counts when all of it is
      // written.
      {"ZCOPY_THRESH", "0"},
  };
  if (reach == UcxReach::kSameHost) {
    settings.emplace_back("TLS", "sm,self");
  } else if (const std::string devices = net_devices(local_hosts);
             !devices.empty() && std::getenv("UCX_NET_DEVICES") == nullptr) {
    settings.emplace_back("NET_DEVICES", devices);
  }
  return settings;
}

}  // namespace

Result<std::unique_ptr<UcxWorker>> UcxWorker::make(const Ucx& ucx, UcxReach reach,
                                                   std::span<const std::string> local_hosts) {
  std::unique_ptr<UcxWorker> worker(new UcxWorker(ucx));
  HEARTH_RETURN_IF_ERROR(worker->start(reach, local_hosts));
  return worker;
}

Result<void> UcxWorker::start(UcxReach reach, std::span<const std::string> local_hosts) {
  const auto failed = [this](const char* what, ucs_status_t status) {
    return Error(Code::kUnavailable,
                 fmt::format("UCX: {}: {}", what, ucx_.ucs_status_string(status)));
  };
  ucp_config_t* config = nullptr;
  ucs_status_t status = ucx_.ucp_config_read(nullptr, nullptr, &config);
  if (status != UCS_OK) return failed("configuration", status);
  for (const auto& [name, value] : settings_of(reach, local_hosts)) {
    if (status == UCS_OK) status = ucx_.ucp_config_modify(config, name, value.c_str());
  }
  ucp_params_t params{};
  params.field_mask = UCP_PARAM_FIELD_FEATURES;
  params.features = UCP_FEATURE_AM | UCP_FEATURE_WAKEUP;
  if (status == UCS_OK) {
    status = ucx_.ucp_init_version(UCP_API_MAJOR, UCP_API_MINOR, &params, config, &context_);
  }
  ucx_.ucp_config_release(config);
  if (status != UCS_OK) return failed("context", status);

  ucp_worker_params_t worker_params{};
  worker_params.field_mask = UCP_WORKER_PARAM_FIELD_THREAD_MODE;
  // Not SINGLE, which would bind the worker to the thread that joined.
  worker_params.thread_mode = UCS_THREAD_MODE_SERIALIZED;
  status = ucx_.ucp_worker_create(context_, &worker_params, &worker_);
  if (status != UCS_OK) return failed("worker", status);
  status = ucx_.ucp_worker_get_efd(worker_, &event_fd_);
  if (status != UCS_OK) return failed("wakeup", status);
  shares_memory_ = reach == UcxReach::kSameHost || std::getenv("UCX_TLS") == nullptr;
  return {};
}

UcxWorker::~UcxWorker() {
  if (worker_ != nullptr) ucx_.ucp_worker_destroy(worker_);
  if (context_ != nullptr) ucx_.ucp_cleanup(context_);
}

Result<std::string> UcxWorker::address(unsigned flags) const {
  ucp_worker_attr_t attributes{};
  attributes.field_mask = UCP_WORKER_ATTR_FIELD_ADDRESS | UCP_WORKER_ATTR_FIELD_ADDRESS_FLAGS;
  attributes.address_flags = flags;
  const ucs_status_t status = ucx_.ucp_worker_query(worker_, &attributes);
  if (status != UCS_OK) {
    return Error(Code::kUnavailable,
                 fmt::format("UCX: address: {}", ucx_.ucs_status_string(status)));
  }
  std::string copy(reinterpret_cast<const char*>(attributes.address), attributes.address_length);
  ucx_.ucp_worker_release_address(worker_, attributes.address);
  return copy;
}

Result<void> UcxWorker::check_way_from(const std::string& local_host) const {
  const std::set<std::string> wanted = net_devices_of(local_host);
  if (wanted.empty() || std::getenv("UCX_NET_DEVICES") != nullptr) return {};
  const std::set<std::string> there = devices_of(printed(ucx_.ucp_context_print_info, context_));
  const auto is_there = [&](const std::string& device) { return there.contains(device); };
  if (std::ranges::any_of(wanted, is_there)) return {};
  return Error(Code::kUnavailable,
               fmt::format("UCX has no device for {} ({}): UCX_TLS leaves networks out, or "
                           "/sys/class/net is that of another network namespace",
                           interface_of(local_host), local_host));
}

void UcxWorker::sleep(const Alarm& alarm, int timeout_ms) const {
  if (ucx_.ucp_worker_arm(worker_) != UCS_OK) {
    // Something has arrived since, or waits for room that nothing will announce. Where threads
    // compute, one that yields gets its turn after a whole slice of theirs, one that sleeps at
    // once.
    if (!progress()) std::this_thread::sleep_for(std::chrono::microseconds(20));
    return;
  }
  std::array<pollfd, 2> fds = {pollfd{.fd = event_fd_, .events = POLLIN},
                               pollfd{.fd = alarm.fd(), .events = POLLIN}};
  ::poll(fds.data(), fds.size(), timeout_ms);
}

}  // namespace hearth::fabric
