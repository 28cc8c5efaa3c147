#include "daemon/daemon.h"

#include <fmt/format.h>

#include "base/log.h"
#include "cluster/cluster.h"
#include "cluster/identity.h"
#include "daemon/backend.h"
#include "daemon/data_dir_lock.h"
#include "daemon/device_facts.h"
#include "daemon/facts_publisher.h"
#include "daemon/first_instances.h"
#include "daemon/instance_router.h"
#include "daemon/instances_service.h"
#include "daemon/links_service.h"
#include "daemon/model_catalog.h"
#include "daemon/runner_host.h"
#include "fabric/transport.h"
#include "serve/server.h"

namespace hearth::daemon {
namespace {

class WiredDaemon final : public Daemon {
 public:
  WiredDaemon(DaemonOptions options, DataDirLock lock)
      : options_(std::move(options)),
        lock_(std::move(lock)),
        catalog_(store::ModelLocator(model_roots(options_.data_dir)),
                 std::make_unique<KeptTimes>(options_.data_dir, options_.quantize)) {}

  // The order of birth; members die in the opposite one.
  Result<void> start() {
    std::vector<std::string> wanted;
    for (const std::string& model : options_.models) {
      HEARTH_TRY(std::string id, catalog_.add(model));
      wanted.push_back(std::move(id));
    }
    catalog_.refresh();
    HEARTH_RETURN_IF_ERROR(join_cluster());
    runners_ =
        std::make_unique<RunnerHost>(cluster_.get(), RunnerSettings{.device = cluster_->view().self,
                                                                    .catalog = &catalog_,
                                                                    .bind_host = ranks_listen(),
                                                                    .transport = options_.transport,
                                                                    .threads = options_.threads,
                                                                    .quantize = options_.quantize});
    router_ = std::make_unique<InstanceRouter>(cluster_.get(), runners_.get());
    service_->attach([this](const InstanceId& id) { return router_->find_local(id); });
    backend_ = make_backend(cluster_.get(), router_.get(), options_.version, kv());
    HEARTH_TRY(server_, serve::Server::start(*backend_, {.listen = options_.listen,
                                                         .port = options_.port,
                                                         .version = options_.version,
                                                         .names = {device_name()}}));
    publisher_ = std::make_unique<FactsPublisher>(cluster_.get(), &catalog_);
    first_instances_ = std::make_unique<FirstInstances>(cluster_.get(), options_.data_dir,
                                                        std::move(wanted), kv());
    return {};
  }

  ~WiredDaemon() override {
    first_instances_ = nullptr;
    publisher_ = nullptr;
    server_ = nullptr;
    service_->detach();
    runners_ = nullptr;
    cluster_ = nullptr;
  }

  int port() const override { return server_->port(); }
  std::string discovery_status() const override { return cluster_->discovery_status(); }
  cluster::ClusterView view() const override { return cluster_->view(); }
  std::shared_ptr<void> watch(std::function<void()> changed) override {
    return cluster_->watch(std::move(changed));
  }

 private:
  static std::vector<std::string> model_roots(const std::string& data_dir) {
    std::vector<std::string> roots = store::ModelLocator::default_roots();
    roots.insert(roots.begin(), data_dir + "/models");
    return roots;
  }

  // Like the device port, which serves IPv6 even as "0.0.0.0".
  std::string ranks_listen() const {
    const bool everywhere = options_.device_listen == "0.0.0.0" || options_.device_listen == "::";
    return everywhere ? "" : options_.device_listen;
  }

  std::string kv() const { return std::string(engine::to_string(options_.kv)); }
  std::string device_name() const { return options_.name.empty() ? host_name() : options_.name; }

  Result<void> join_cluster() {
    HEARTH_TRY(cluster::Identity identity, cluster::Identity::load_or_create(options_.data_dir));
    cluster::DeviceFacts facts = read_device_facts();
    facts.name = device_name();
    facts.version = options_.version;
    facts.models = catalog_.models();
    facts.transports = fabric::transport_names();
    HEARTH_TRY(links_service_, LinksService::make(ranks_listen()));
    auto cluster =
        cluster::Cluster::start({.identity = std::move(identity),
                                 .name = options_.cluster,
                                 .listen = options_.device_listen,
                                 .port = options_.device_port,
                                 .peers = options_.peers,
                                 .discovery = options_.discovery,
                                 .state_path = options_.data_dir + "/state.db",
                                 .facts = std::move(facts),
                                 .services = {service_->service(), links_service_->service()}});
    if (!cluster.ok() && cluster.error().code() == Code::kAlreadyExists) {
      return Error(Code::kAlreadyExists,
                   cluster.error().message() + " with --device-port or --port");
    }
    if (!cluster.ok()) return cluster.error();
    cluster_ = *std::move(cluster);
    return {};
  }

  const DaemonOptions options_;
  const DataDirLock lock_;
  ModelCatalog catalog_;
  const std::unique_ptr<InstancesService> service_ = InstancesService::make();
  std::unique_ptr<LinksService> links_service_;
  std::unique_ptr<cluster::Cluster> cluster_;
  std::unique_ptr<RunnerHost> runners_;
  std::unique_ptr<InstanceRouter> router_;
  std::unique_ptr<serve::Backend> backend_;
  std::unique_ptr<serve::Server> server_;
  std::unique_ptr<FactsPublisher> publisher_;
  std::unique_ptr<FirstInstances> first_instances_;
};

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::start(DaemonOptions options) {
  HEARTH_TRY(DataDirLock lock, DataDirLock::acquire(options.data_dir));
  auto daemon = std::make_unique<WiredDaemon>(std::move(options), std::move(lock));
  HEARTH_RETURN_IF_ERROR(daemon->start());
  return std::unique_ptr<Daemon>(std::move(daemon));
}

}  // namespace hearth::daemon
