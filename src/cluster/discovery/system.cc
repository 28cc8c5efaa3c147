// mDNS through the system's Avahi daemon, over D-Bus.
#include <avahi-client/client.h>
#include <avahi-client/lookup.h>
#include <avahi-client/publish.h>
#include <avahi-common/error.h>
#include <avahi-common/strlst.h>
#include <fmt/format.h>

#include <map>
#include <string>
#include <tuple>

#include "cluster/discovery/backend.h"

namespace hearth::cluster {
namespace {

class SystemBackend final : public DiscoveryBackend {
 public:
  explicit SystemBackend(const Announcement& announcement) : announcement_(announcement) {}

  ~SystemBackend() override {
    // Frees the browser, resolvers and entries, too.
    if (client_ != nullptr) avahi_client_free(client_);
  }

  Result<void> start(const AvahiPoll* poll) {
    int error = 0;
    client_ = avahi_client_new(poll, AvahiClientFlags{}, on_client, this, &error);
    if (client_ == nullptr) return unavailable(error);
    browser_ = avahi_service_browser_new(client_, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, kServiceType,
                                         nullptr, AvahiLookupFlags{}, on_browse, this);
    if (browser_ == nullptr) return unavailable(avahi_client_errno(client_));
    return {};
  }

  std::string failure() const override { return failure_; }
  std::string status() const override { return "mDNS through the system's Avahi"; }

 private:
  using Key = std::tuple<AvahiIfIndex, AvahiProtocol, std::string>;

  static Error unavailable(int error) {
    return Error(Code::kUnavailable,
                 fmt::format("the system's Avahi does not answer: {}", avahi_strerror(error)));
  }

  static void on_client(AvahiClient* client, AvahiClientState state, void* self) {
    static_cast<SystemBackend*>(self)->changed(client, state);
  }

  // May be called before avahi_client_new() has returned.
  void changed(AvahiClient* client, AvahiClientState state) {
    client_ = client;
    switch (state) {
      case AVAHI_CLIENT_S_RUNNING:
        publish();
        break;
      case AVAHI_CLIENT_S_COLLISION:
      case AVAHI_CLIENT_S_REGISTERING:
        // The host's name changes; the daemon says when it is settled.
        if (group_ != nullptr) avahi_entry_group_reset(group_);
        break;
      case AVAHI_CLIENT_FAILURE:
        failure_ = avahi_strerror(avahi_client_errno(client));
        break;
      case AVAHI_CLIENT_CONNECTING:
        break;
    }
  }

  void publish() {
    if (group_ == nullptr) group_ = avahi_entry_group_new(client_, on_group, this);
    if (group_ == nullptr || !avahi_entry_group_is_empty(group_)) return;
    AvahiStringList* txt = make_txt(announcement_);
    const int code = avahi_entry_group_add_service_strlst(
        group_, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, {}, service_name(announcement_).c_str(),
        kServiceType, nullptr, nullptr, static_cast<uint16_t>(announcement_.port), txt);
    avahi_string_list_free(txt);
    if (code < 0 || avahi_entry_group_commit(group_) < 0) {
      failure_ = fmt::format("announcing: {}", avahi_strerror(avahi_client_errno(client_)));
    }
  }

  static void on_group(AvahiEntryGroup* group, AvahiEntryGroupState state, void* self) {
    auto* backend = static_cast<SystemBackend*>(self);
    if (state == AVAHI_ENTRY_GROUP_FAILURE) {
      backend->failure_ = avahi_strerror(avahi_client_errno(avahi_entry_group_get_client(group)));
    } else if (state == AVAHI_ENTRY_GROUP_COLLISION) {
      backend->failure_ = "another device announces the id of this one";
    }
  }

  static void on_browse(AvahiServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                        AvahiBrowserEvent event, const char* name, const char* type,
                        const char* domain, AvahiLookupResultFlags, void* self) {
    auto* backend = static_cast<SystemBackend*>(self);
    if (event == AVAHI_BROWSER_FAILURE) {
      backend->failure_ = avahi_strerror(avahi_client_errno(backend->client_));
    } else if (event == AVAHI_BROWSER_NEW) {
      backend->resolve(interface, protocol, name, type, domain);
    } else if (event == AVAHI_BROWSER_REMOVE) {
      const auto found = backend->resolvers_.find({interface, protocol, name});
      if (found == backend->resolvers_.end()) return;
      avahi_service_resolver_free(found->second);
      backend->resolvers_.erase(found);
    }
  }

  // Stays, to hear of changes, until the service goes.
  void resolve(AvahiIfIndex interface, AvahiProtocol protocol, const char* name, const char* type,
               const char* domain) {
    if (service_name(announcement_) == name) return;
    const Key key(interface, protocol, name);
    if (resolvers_.contains(key)) return;
    auto* resolver =
        avahi_service_resolver_new(client_, interface, protocol, name, type, domain,
                                   AVAHI_PROTO_UNSPEC, AvahiLookupFlags{}, on_resolve, this);
    if (resolver != nullptr) resolvers_[key] = resolver;
  }

  static void on_resolve(AvahiServiceResolver*, AvahiIfIndex interface, AvahiProtocol,
                         AvahiResolverEvent event, const char*, const char*, const char*,
                         const char*, const AvahiAddress* address, uint16_t port,
                         AvahiStringList* txt, AvahiLookupResultFlags, void* self) {
    if (event != AVAHI_RESOLVER_FOUND) return;
    report(static_cast<SystemBackend*>(self)->announcement_, interface, address, port, txt);
  }

  const Announcement& announcement_;
  AvahiClient* client_ = nullptr;
  AvahiEntryGroup* group_ = nullptr;
  AvahiServiceBrowser* browser_ = nullptr;
  std::map<Key, AvahiServiceResolver*> resolvers_;
  std::string failure_;
};

}  // namespace

Result<std::unique_ptr<DiscoveryBackend>> system_backend(const AvahiPoll* poll,
                                                         const Announcement& announcement) {
  auto backend = std::make_unique<SystemBackend>(announcement);
  HEARTH_RETURN_IF_ERROR(backend->start(poll));
  return std::unique_ptr<DiscoveryBackend>(std::move(backend));
}

}  // namespace hearth::cluster
