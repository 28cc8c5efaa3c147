#include "daemon/links_service.h"

#include <grpcpp/grpcpp.h>

#include "fabric/link_probe.h"
#include "proto/links.grpc.pb.h"

namespace hearth::daemon {
namespace {

class Service final : public LinksService, private proto::Links::CallbackService {
 public:
  explicit Service(std::unique_ptr<fabric::LinkProbeServer> server) : server_(std::move(server)) {}

  grpc::Service* service() override { return this; }

 private:
  grpc::ServerUnaryReactor* OpenProbe(grpc::CallbackServerContext* context,
                                      const proto::OpenProbeRequest*,
                                      proto::OpenProbeReply* reply) override {
    reply->set_port(server_->port());
    reply->set_token(server_->token());
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  const std::unique_ptr<fabric::LinkProbeServer> server_;
};

}  // namespace

Result<std::unique_ptr<LinksService>> LinksService::make(const std::string& host) {
  HEARTH_TRY(std::unique_ptr<fabric::LinkProbeServer> server,
             fabric::LinkProbeServer::listen(host));
  return std::unique_ptr<LinksService>(std::make_unique<Service>(std::move(server)));
}

}  // namespace hearth::daemon
