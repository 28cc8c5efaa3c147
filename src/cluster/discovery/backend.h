// One mDNS implementation at work. All calls, and destruction, on the thread that runs the poll.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "cluster/discovery/discovery.h"

struct AvahiPoll;
struct AvahiStringList;
struct AvahiAddress;

namespace hearth::cluster {

inline constexpr const char* kServiceType = "_hearth._tcp";

class DiscoveryBackend {
 public:
  virtual ~DiscoveryBackend() = default;
  // Why it stopped working for good; empty while it works.
  virtual std::string failure() const = 0;
  virtual std::string status() const = 0;
};

// The system's daemon. kUnavailable when none answers.
Result<std::unique_ptr<DiscoveryBackend>> system_backend(const AvahiPoll* poll,
                                                         const Announcement& announcement);
// An own responder. kUnavailable when no network can be listened to.
Result<std::unique_ptr<DiscoveryBackend>> embedded_backend(const AvahiPoll* poll,
                                                           const Announcement& announcement);

// The name of the service instance; unique in the network.
std::string service_name(const Announcement& announcement);
// TXT record; to be freed with avahi_string_list_free.
AvahiStringList* make_txt(const Announcement& announcement);
// Tells `announcement.found` of a resolved service, unless it is this device itself or unusable.
void report(const Announcement& announcement, int interface, const AvahiAddress* address, int port,
            AvahiStringList* txt);

}  // namespace hearth::cluster
