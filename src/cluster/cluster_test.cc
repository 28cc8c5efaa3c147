// Real devices in one process, on loopback: sockets, TLS, SQLite, threads.
#include "cluster/cluster.h"

#include <gmock/gmock.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_context.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>

#include "base/units.h"
#include "cluster/core/messages.h"
#include "cluster/peer_auth.h"
#include "cluster/peers/credentials.h"
#include "cluster/testing/process.h"
#include "proto/cluster.grpc.pb.h"
#include "proto/instances.grpc.pb.h"

namespace hearth::cluster {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

ModelFacts small_model() {
  return {.id = "ember",
          .name = "Ember",
          .architecture = "llama",
          .encoding = "F16",
          .layers = 8,
          .context = 512,
          .layer_bytes = 1_MiB,
          .embedding_bytes = 1_MiB,
          .head_bytes = 1_MiB,
          .kv_layer_bytes = {{"q16", 512}, {"q8", 256}}};
}

// A device and what it keeps on disk; can be stopped and started again.
class Device {
 public:
  explicit Device(std::string name) {
    options_.identity = *Identity::load_or_create(directory_.path());
    options_.listen = "127.0.0.1";
    options_.port = 0;
    options_.discovery = false;
    options_.state_path = directory_.path() + "/state.db";
    options_.facts.name = std::move(name);
    options_.facts.memory_total_bytes = 8_GiB;
    options_.facts.memory_available_bytes = 4_GiB;
    options_.facts.models = {small_model()};
  }
  ClusterOptions& options() { return options_; }
  void start() {
    auto started = Cluster::start(options_);
    ASSERT_TRUE(started.ok()) << started.error().message();
    cluster_ = std::move(*started);
    options_.port = cluster_->port();
  }
  void stop() { cluster_.reset(); }

  Cluster* operator->() { return cluster_.get(); }
  DeviceId id() const { return options_.identity.id; }
  std::string address() const { return "127.0.0.1:" + std::to_string(cluster_->port()); }
  DeviceStatus status_of(const DeviceId& id) {
    const ClusterView view = cluster_->view();
    const auto found = view.devices.find(id);
    return found == view.devices.end() ? DeviceStatus::kOffline : found->second.status;
  }
  bool sees(const Device& other) {
    const ClusterView view = cluster_->view();
    const auto found = view.devices.find(other.id());
    return found != view.devices.end() && found->second.status == DeviceStatus::kOnline &&
           !found->second.facts.models.empty() && !found->second.reachable_at.empty();
  }

 private:
  ScratchDirectory directory_;
  ClusterOptions options_;
  std::unique_ptr<Cluster> cluster_;
};

TEST(ClusterTest, DevicesJoinByPeerAndAgree) {
  Device a("a"), b("b"), c("c");
  a.start();
  b.options().peers = {a.address()};
  b.start();
  c.options().peers = {a.address()};  // hears of b from a
  c.start();
  for (Device* device : {&a, &b, &c}) {
    for (Device* other : {&a, &b, &c}) {
      if (device != other) {
        ASSERT_TRUE(eventually([&] { return device->sees(*other); }))
            << device->options().facts.name << " of " << other->options().facts.name;
      }
    }
    EXPECT_TRUE(eventually([&] { return (*device)->view().coordinator == a.id(); }));
    EXPECT_EQ((*device)->view().devices.size(), 3u);
  }
  EXPECT_EQ(b->view().devices.at(a.id()).facts.name, "a");
  EXPECT_EQ(b->view().devices.at(a.id()).reachable_at, a.address());
}

TEST(ClusterTest, AnInstanceIsPlannedAndKnownToAll) {
  Device a("a"), b("b");
  a.start();
  b.options().peers = {a.address()};
  b.start();
  ASSERT_TRUE(eventually([&] { return a.sees(b) && b.sees(a); }));

  std::atomic<int> changes = 0;
  const auto handle = a->watch([&changes] { ++changes; });
  const auto id = b->create_instance({.model = "ember", .min_devices = 2, .kv = "q8"});
  ASSERT_TRUE(id.ok()) << id.error().message();
  const auto planned = [&](Device& device) {
    const ClusterView view = device->view();
    return view.instances.contains(*id) && view.instances.at(*id).plan.ranks.size() == 2;
  };
  ASSERT_TRUE(eventually([&] { return planned(a) && planned(b); }));
  EXPECT_GT(changes, 0);
  EXPECT_EQ(a->view().instances.at(*id).kv, "q8");
  const Plan plan = a->view().instances.at(*id).plan;
  EXPECT_EQ(plan.ranks[0].layer_begin, 0);
  EXPECT_EQ(plan.ranks[1].layer_end, 8);
  EXPECT_EQ(plan.token, b->view().instances.at(*id).plan.token);

  a->set_runners({{.instance = *id, .epoch = plan.epoch, .status = RunnerStatus::kReady}});
  EXPECT_TRUE(eventually([&] {
    const ClusterView view = b->view();
    return view.runners.size() == 1 && view.runners[0].device == a.id() &&
           view.runners[0].status == RunnerStatus::kReady;
  }));

  EXPECT_TRUE(b->delete_instance(*id).ok());
  EXPECT_TRUE(eventually([&] { return a->view().instances.empty(); }));
  EXPECT_EQ(b->delete_instance(*id).error().code(), Code::kNotFound);
}

TEST(ClusterTest, InstancesOutliveTheirDevices) {
  Device a("a");
  a.start();
  const auto id = a->create_instance({.model = "ember"});
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(eventually([&] { return !a->view().instances.at(*id).plan.empty(); }));
  const Plan before = a->view().instances.at(*id).plan;
  const int64_t joined = a->view().devices.at(a.id()).facts.joined_unix_ms;
  a.stop();
  a.start();
  const ClusterView view = a->view();
  ASSERT_TRUE(view.instances.contains(*id));
  EXPECT_EQ(view.instances.at(*id).plan.epoch, before.epoch);
  EXPECT_EQ(view.devices.at(a.id()).facts.joined_unix_ms, joined);
}

TEST(ClusterTest, GoodbyeIsSeenAtOnceAndReturnToo) {
  Device a("a"), b("b");
  a.start();
  b.options().peers = {a.address()};
  b.start();
  ASSERT_TRUE(eventually([&] { return a.sees(b) && b.sees(a); }));
  const auto id = a->create_instance({.model = "ember", .min_devices = 2});
  ASSERT_TRUE(id.ok());
  ASSERT_TRUE(eventually([&] { return a->view().instances.at(*id).plan.ranks.size() == 2; }));
  const int64_t epoch = a->view().instances.at(*id).plan.epoch;

  b.stop();
  EXPECT_EQ(a.status_of(b.id()), DeviceStatus::kOffline);
  // Planned anew on what is left.
  ASSERT_TRUE(eventually([&] { return a->view().instances.at(*id).plan.epoch > epoch; }));
  EXPECT_EQ(a->view().instances.at(*id).plan.ranks.size(), 1u);
  EXPECT_FALSE(a->channel(b.id()).ok());

  b.options().peers.clear();  // remembers where a was
  b.start();
  EXPECT_TRUE(eventually([&] { return a.sees(b) && b.sees(a); }));
  EXPECT_TRUE(eventually([&] { return b->view().instances.contains(*id); }));
}

TEST(ClusterTest, OtherClustersAreRefused) {
  Device a("a"), b("b");
  a.start();
  b.options().name = "another";
  b.options().peers = {a.address()};
  b.start();
  Device c("c");
  c.options().peers = {a.address()};
  c.start();
  ASSERT_TRUE(eventually([&] { return a.sees(c); }));
  EXPECT_EQ(a->view().devices.size(), 2u);
  EXPECT_EQ(b->view().devices.size(), 1u);
}

TEST(ClusterTest, TakenPortAndDamagedStateAreSaid) {
  Device a("a"), b("b");
  a.start();
  b.options().port = a->port();
  const auto taken = Cluster::start(b.options());
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code(), Code::kAlreadyExists);
  EXPECT_THAT(taken.error().message(), HasSubstr("port"));

  b.options().port = 0;
  std::ofstream(b.options().state_path) << std::string(8192, 'x');
  const auto damaged = Cluster::start(b.options());
  ASSERT_FALSE(damaged.ok());
  EXPECT_EQ(damaged.error().code(), Code::kCorrupt);
  EXPECT_THAT(damaged.error().message(), HasSubstr("move it away"));
}

TEST(ClusterTest, NonsenseIsRefusedAtTheStart) {
  Device a("a");
  a.options().peers = {"10.0.0.2"};
  EXPECT_EQ(Cluster::start(a.options()).error().code(), Code::kInvalidArgument);
  a.options().peers = {};
  a.options().name = "";
  EXPECT_EQ(Cluster::start(a.options()).error().code(), Code::kInvalidArgument);
}

// Another certificate than the one its id names.
TEST(ClusterTest, ImpostorsAreRefused) {
  Device a("a"), b("b"), thief("thief");
  a.start();
  b.options().peers = {a.address()};
  b.start();
  ASSERT_TRUE(eventually([&] { return a.sees(b) && b.sees(a); }));

  // Says that it is b.
  const auto pin = std::make_shared<Pin>();
  const auto channel = grpc::CreateChannel("dns:///" + a.address(),
                                           channel_credentials(thief.options().identity, pin));
  const auto stub = proto::ClusterPeer::NewStub(channel);
  {
    grpc::ClientContext context;
    proto::HelloRequest request;
    request.set_cluster("hearth");
    request.set_protocol(kProtocol);
    request.set_device_id(b.id().str());
    proto::HelloReply reply;
    ASSERT_TRUE(stub->Hello(&context, request, &reply).ok());
    EXPECT_NE(reply.refusal(), "");
  }
  // Says nothing, and calls.
  {
    grpc::ClientContext context;
    proto::SyncReply reply;
    EXPECT_EQ(stub->Sync(&context, {}, &reply).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  }
  // Has no certificate at all.
  {
    namespace tls = grpc::experimental;
    tls::TlsChannelCredentialsOptions bare;
    bare.set_verify_server_certs(false);
    bare.set_check_call_host(false);
    bare.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
    const auto nobody = grpc::CreateChannel("dns:///" + a.address(), tls::TlsCredentials(bare));
    grpc::ClientContext context;
    proto::HelloReply reply;
    EXPECT_EQ(proto::ClusterPeer::NewStub(nobody)->Hello(&context, {}, &reply).error_code(),
              grpc::StatusCode::UNAUTHENTICATED);
  }
  EXPECT_EQ(a->view().devices.size(), 2u);

  // Takes b's place: a's channel to b reaches nobody, and no device stands in for b.
  const auto to_b = a->channel(b.id());
  ASSERT_TRUE(to_b.ok());
  thief.options().port = b->port();
  thief.options().name = "thieves";
  b.stop();
  thief.start();
  const auto stub_b = proto::ClusterPeer::NewStub(*to_b);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + seconds(2));
  context.set_wait_for_ready(true);
  proto::HelloReply reply;
  EXPECT_FALSE(stub_b->Hello(&context, {}, &reply).ok());
  EXPECT_EQ(a.status_of(b.id()), DeviceStatus::kOffline);
  EXPECT_EQ(a.status_of(thief.id()), DeviceStatus::kOffline);
}

// A further service of the device port: answers with the id of its caller.
class WhoAmI final : public proto::Instances::Service {
 public:
  grpc::Status Generate(grpc::ServerContext* context, const proto::GenerateRequest*,
                        grpc::ServerWriter<proto::GenerateEvent>* writer) override {
    proto::GenerateEvent event;
    event.mutable_delta()->set_text(peer_of(*context)->str());
    writer->Write(event);
    return grpc::Status::OK;
  }
};

TEST(ClusterTest, FurtherServicesKnowTheirCallersAndServeMembersOnly) {
  WhoAmI service;
  Device a("a"), b("b"), stranger("stranger");
  a.options().services = {&service};
  a.start();
  b.options().peers = {a.address()};
  b.start();
  ASSERT_TRUE(eventually([&] { return b.sees(a); }));
  const auto ask = [](const std::shared_ptr<grpc::Channel>& channel, std::string& answer) {
    grpc::ClientContext context;
    const auto reader = proto::Instances::NewStub(channel)->Generate(&context, {});
    proto::GenerateEvent event;
    if (reader->Read(&event)) answer = event.delta().text();
    while (reader->Read(&event)) {
    }
    return reader->Finish();
  };
  std::string answer;
  const auto channel = b->channel(a.id());
  ASSERT_TRUE(channel.ok()) << channel.error().message();
  EXPECT_TRUE(ask(*channel, answer).ok());
  EXPECT_EQ(answer, b.id().str());

  const auto pin = std::make_shared<Pin>();
  const auto unknown = grpc::CreateChannel("dns:///" + a.address(),
                                           channel_credentials(stranger.options().identity, pin));
  EXPECT_EQ(ask(unknown, answer).error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

}  // namespace
}  // namespace hearth::cluster
