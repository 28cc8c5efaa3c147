// mDNS by a responder of our own: avahi-core in this process. Shares port 5353 with other
// responders of this host (SO_REUSEADDR), and needs neither D-Bus nor root.
#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/strlst.h>
#include <avahi-core/core.h>
#include <avahi-core/log.h>
#include <avahi-core/lookup.h>
#include <avahi-core/publish.h>
#include <fmt/format.h>

#include <map>
#include <string>
#include <tuple>

#include "base/log.h"
#include "cluster/discovery/backend.h"

namespace hearth::cluster {
namespace {

class EmbeddedBackend final : public DiscoveryBackend {
 public:
  explicit EmbeddedBackend(const Announcement& announcement) : announcement_(announcement) {}

  ~EmbeddedBackend() override {
    // Frees the browser, resolvers and entries, too, after telling the network goodbye.
    if (server_ != nullptr) avahi_server_free(server_);
  }

  Result<void> start(const AvahiPoll* poll) {
    avahi_set_log_function([](AvahiLogLevel, const char* text) { log::debug("avahi: {}", text); });
    AvahiServerConfig config;
    avahi_server_config_init(&config);
    // A host name of its own: the system's belongs to whichever responder speaks for the host.
    const std::string host = fmt::format("hearth-{:.16}", announcement_.id.str());
    config.host_name = avahi_strdup(host.c_str());
    config.publish_hinfo = 0;
    config.publish_workstation = 0;
    config.publish_domain = 0;
    config.use_iff_running = 0;
    config.enable_wide_area = 0;
    int error = 0;
    server_ = avahi_server_new(poll, &config, on_server, this, &error);
    avahi_server_config_free(&config);
    if (server_ == nullptr) return unavailable("starting a responder", error);
    browser_ =
        avahi_s_service_browser_new(server_, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, kServiceType,
                                    nullptr, AVAHI_LOOKUP_USE_MULTICAST, on_browse, this);
    if (browser_ == nullptr) return unavailable("browsing", avahi_server_errno(server_));
    return {};
  }

  std::string failure() const override { return failure_; }
  std::string status() const override { return "mDNS through a responder of its own"; }

 private:
  using Key = std::tuple<AvahiIfIndex, AvahiProtocol, std::string>;

  static Error unavailable(const char* doing, int error) {
    return Error(Code::kUnavailable, fmt::format("{}: {}", doing, avahi_strerror(error)));
  }

  static void on_server(AvahiServer* server, AvahiServerState state, void* self) {
    static_cast<EmbeddedBackend*>(self)->changed(server, state);
  }

  // May be called before avahi_server_new() has returned.
  void changed(AvahiServer* server, AvahiServerState state) {
    server_ = server;
    switch (state) {
      case AVAHI_SERVER_RUNNING:
        publish();
        break;
      case AVAHI_SERVER_COLLISION: {
        if (group_ != nullptr) avahi_s_entry_group_reset(group_);
        char* other = avahi_alternative_host_name(avahi_server_get_host_name(server));
        avahi_server_set_host_name(server, other);
        avahi_free(other);
        break;
      }
      case AVAHI_SERVER_REGISTERING:
        if (group_ != nullptr) avahi_s_entry_group_reset(group_);
        break;
      case AVAHI_SERVER_FAILURE:
        failure_ = avahi_strerror(avahi_server_errno(server));
        break;
      case AVAHI_SERVER_INVALID:
        break;
    }
  }

  void publish() {
    if (group_ == nullptr) group_ = avahi_s_entry_group_new(server_, on_group, this);
    if (group_ == nullptr || !avahi_s_entry_group_is_empty(group_)) return;
    AvahiStringList* txt = make_txt(announcement_);
    const int code =
        avahi_server_add_service_strlst(server_, group_, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, {},
                                        service_name(announcement_).c_str(), kServiceType, nullptr,
                                        nullptr, static_cast<uint16_t>(announcement_.port), txt);
    avahi_string_list_free(txt);
    if (code < 0 || avahi_s_entry_group_commit(group_) < 0) {
      failure_ = fmt::format("announcing: {}", avahi_strerror(avahi_server_errno(server_)));
    }
  }

  static void on_group(AvahiServer* server, AvahiSEntryGroup*, AvahiEntryGroupState state,
                       void* self) {
    auto* backend = static_cast<EmbeddedBackend*>(self);
    if (state == AVAHI_ENTRY_GROUP_FAILURE) {
      backend->failure_ = avahi_strerror(avahi_server_errno(server));
    } else if (state == AVAHI_ENTRY_GROUP_COLLISION) {
      backend->failure_ = "another device announces the id of this one";
    }
  }

  static void on_browse(AvahiSServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                        AvahiBrowserEvent event, const char* name, const char* type,
                        const char* domain, AvahiLookupResultFlags, void* self) {
    auto* backend = static_cast<EmbeddedBackend*>(self);
    if (event == AVAHI_BROWSER_FAILURE) {
      backend->failure_ = avahi_strerror(avahi_server_errno(backend->server_));
    } else if (event == AVAHI_BROWSER_NEW) {
      backend->resolve(interface, protocol, name, type, domain);
    } else if (event == AVAHI_BROWSER_REMOVE) {
      const auto found = backend->resolvers_.find({interface, protocol, name});
      if (found == backend->resolvers_.end()) return;
      avahi_s_service_resolver_free(found->second);
      backend->resolvers_.erase(found);
    }
  }

  // Stays, to hear of changes, until the service goes.
  void resolve(AvahiIfIndex interface, AvahiProtocol protocol, const char* name, const char* type,
               const char* domain) {
    if (service_name(announcement_) == name) return;
    const Key key(interface, protocol, name);
    if (resolvers_.contains(key)) return;
    auto* resolver = avahi_s_service_resolver_new(server_, interface, protocol, name, type, domain,
                                                  AVAHI_PROTO_UNSPEC, AVAHI_LOOKUP_USE_MULTICAST,
                                                  on_resolve, this);
    if (resolver != nullptr) resolvers_[key] = resolver;
  }

  static void on_resolve(AvahiSServiceResolver*, AvahiIfIndex interface, AvahiProtocol,
                         AvahiResolverEvent event, const char*, const char*, const char*,
                         const char*, const AvahiAddress* address, uint16_t port,
                         AvahiStringList* txt, AvahiLookupResultFlags, void* self) {
    if (event != AVAHI_RESOLVER_FOUND) return;
    report(static_cast<EmbeddedBackend*>(self)->announcement_, interface, address, port, txt);
  }

  const Announcement& announcement_;
  AvahiServer* server_ = nullptr;
  AvahiSEntryGroup* group_ = nullptr;
  AvahiSServiceBrowser* browser_ = nullptr;
  std::map<Key, AvahiSServiceResolver*> resolvers_;
  std::string failure_;
};

}  // namespace

Result<std::unique_ptr<DiscoveryBackend>> embedded_backend(const AvahiPoll* poll,
                                                           const Announcement& announcement) {
  auto backend = std::make_unique<EmbeddedBackend>(announcement);
  HEARTH_RETURN_IF_ERROR(backend->start(poll));
  return std::unique_ptr<DiscoveryBackend>(std::move(backend));
}

}  // namespace hearth::cluster
