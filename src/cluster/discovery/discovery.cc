#include "cluster/discovery/discovery.h"

#include <avahi-common/address.h>
#include <avahi-common/malloc.h>
#include <avahi-common/simple-watch.h>
#include <avahi-common/strlst.h>
#include <fmt/format.h>
#include <net/if.h>

#include <chrono>
#include <memory>

#include "base/log.h"
#include "cluster/discovery/backend.h"

namespace hearth::cluster {
namespace {

constexpr int kPollMs = 200;  // how long stopping may take
constexpr auto kRetry = std::chrono::seconds(5);
constexpr auto kFirstAttempt = std::chrono::milliseconds(500);

std::string txt_value(AvahiStringList* txt, const char* key) {
  AvahiStringList* entry = avahi_string_list_find(txt, key);
  char* value = nullptr;
  size_t size = 0;
  if (entry == nullptr || avahi_string_list_get_pair(entry, nullptr, &value, &size) != 0) return "";
  std::string text = value == nullptr ? "" : std::string(value, size);
  avahi_free(value);
  return text;
}

}  // namespace

std::string service_name(const Announcement& announcement) {
  return fmt::format("hearth {:.16}", announcement.id.str());
}

AvahiStringList* make_txt(const Announcement& announcement) {
  return avahi_string_list_new(fmt::format("id={}", announcement.id.str()).c_str(),
                               fmt::format("cluster={}", announcement.cluster).c_str(),
                               fmt::format("protocol={}", kProtocol).c_str(),
                               static_cast<const char*>(nullptr));
}

void report(const Announcement& announcement, int interface, const AvahiAddress* address, int port,
            AvahiStringList* txt) {
  event::Discovered found{.id = DeviceId(txt_value(txt, "id")),
                          .cluster = txt_value(txt, "cluster")};
  if (found.id == announcement.id || address == nullptr || port == 0) return;
  char text[AVAHI_ADDRESS_STR_MAX];
  avahi_address_snprint(text, sizeof text, address);
  if (address->proto == AVAHI_PROTO_INET) {
    found.address = fmt::format("{}:{}", text, port);
  } else if (std::string_view(text).starts_with("fe80:")) {
    // A link-local address means something only together with its interface.
    char name[IF_NAMESIZE];
    if (if_indextoname(static_cast<unsigned>(interface), name) == nullptr) return;
    found.address = fmt::format("[{}%{}]:{}", text, name, port);
  } else {
    found.address = fmt::format("[{}]:{}", text, port);
  }
  announcement.found(std::move(found));
}

Discovery::Discovery(Announcement announcement)
    : announcement_(std::move(announcement)), thread_([this] { run(); }) {}

Discovery::~Discovery() {
  stopping_ = true;
  thread_.join();
}

std::string Discovery::status() const {
  std::unique_lock lock(mutex_);
  known_.wait_for(lock, kFirstAttempt, [this] { return !status_.empty(); });
  return status_.empty() ? "mDNS is starting" : status_;
}

void Discovery::set_status(std::string status) {
  std::lock_guard lock(mutex_);
  status_ = std::move(status);
  known_.notify_all();
}

void Discovery::run() {
  while (!stopping_) {
    run_once();
    for (auto waited = std::chrono::milliseconds(0); waited < kRetry && !stopping_;
         waited += std::chrono::milliseconds(kPollMs)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(kPollMs));
    }
  }
}

// Returns when it cannot go on.
void Discovery::run_once() {
  const std::unique_ptr<AvahiSimplePoll, decltype(&avahi_simple_poll_free)> poll(
      avahi_simple_poll_new(), avahi_simple_poll_free);
  if (poll == nullptr) return set_status("mDNS is off: out of memory");
  const AvahiPoll* api = avahi_simple_poll_get(poll.get());
  auto backend = system_backend(api, announcement_);
  if (!backend) {
    log::debug("discovery: {}; using a responder of its own", backend.error().message());
    backend = embedded_backend(api, announcement_);
  }
  std::string failure = backend ? "" : backend.error().message();
  if (backend) set_status((*backend)->status());
  while (failure.empty() && !stopping_) {
    if (avahi_simple_poll_iterate(poll.get(), kPollMs) != 0) failure = "its event loop failed";
    if (failure.empty()) failure = (*backend)->failure();
  }
  if (stopping_) return;
  set_status(fmt::format("mDNS does not work ({})", failure));
  log::warn(
      "discovery by mDNS does not work: {}; trying again. Meanwhile name other devices with "
      "--peer HOST:PORT",
      failure);
}

}  // namespace hearth::cluster
