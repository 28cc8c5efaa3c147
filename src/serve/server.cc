#include "serve/server.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "serve/api/cluster_api.h"
#include "serve/api/openai.h"
#include "serve/assets.h"
#include "serve/backend.h"
#include "serve/http/browser_guard.h"
#include "serve/http/listener.h"
#include "serve/http/router.h"

namespace hearth::serve {
namespace {

std::vector<std::string> device_names(const ServerOptions& options) {
  std::vector<std::string> names = options.names;
  char name[256] = {};
  if (gethostname(name, sizeof(name) - 1) == 0) names.emplace_back(name);
  return names;
}

class ServerImpl final : public Server {
 public:
  ServerImpl(Backend& backend, const ServerOptions& options)
      : options_(options), guard_(device_names(options)) {
    add_openai_routes(router_, backend,
                      {.version = options.version, .keep_alive = options.stream_keep_alive});
    add_cluster_routes(router_, backend, options);
    add_asset_routes(router_, dashboard_assets());
  }

  Result<void> listen() {
    HEARTH_TRY(listener_, Listener::start(
                              options_.listen, options_.port, std::max(options_.threads, 1),
                              {.router = router_, .guard = guard_, .patience = options_.patience}));
    return {};
  }

  int port() const override { return listener_->port(); }

 private:
  const ServerOptions options_;
  const BrowserGuard guard_;
  Router router_;
  std::unique_ptr<Listener> listener_;  // last: its sessions use the rest
};

}  // namespace

Result<std::unique_ptr<Server>> Server::start(Backend& backend, const ServerOptions& options) {
  auto server = std::make_unique<ServerImpl>(backend, options);
  HEARTH_RETURN_IF_ERROR(server->listen());
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace hearth::serve
