#include "cluster/peers/credentials.h"

#include <fmt/format.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_context.h>

#include "cluster/peer_auth.h"

namespace hearth::cluster {
namespace {

std::string_view view_of(grpc::string_ref text) { return {text.data(), text.size()}; }

Result<DeviceId> caller_of(const grpc::AuthContext* context) {
  if (context != nullptr) {
    const auto certificates = context->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
    if (certificates.size() == 1) return device_id_of(view_of(certificates.front()));
  }
  return Error(Code::kPermissionDenied, "the call came without a device certificate");
}

// Runs after the handshake, in which the peer has proved that it holds the certificate's key.
class PinnedVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  explicit PinnedVerifier(std::shared_ptr<Pin> pin) : pin_(std::move(pin)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* status) override {
    const Result<DeviceId> id = device_id_of(view_of(request->peer_cert()));
    *status = id && pin_->accept(*id)
                  ? grpc::Status::OK
                  : grpc::Status(grpc::StatusCode::UNAUTHENTICATED, "another device answers here");
    return true;  // done, synchronously
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  const std::shared_ptr<Pin> pin_;
};

class Doorkeeper final : public grpc::AuthMetadataProcessor {
 public:
  explicit Doorkeeper(Admit admit) : admit_(std::move(admit)) {}

  bool IsBlocking() const override { return false; }

  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const Result<DeviceId> caller = caller_of(context);
    if (!caller) return {grpc::StatusCode::UNAUTHENTICATED, caller.error().message()};
    const auto path = metadata.find(":path");
    const std::string_view method = path == metadata.end() ? "" : view_of(path->second);
    if (admit_(method, *caller)) return grpc::Status::OK;
    return {grpc::StatusCode::PERMISSION_DENIED, "not a member of this cluster: say hello first"};
  }

 private:
  const Admit admit_;
};

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(const Identity& identity,
                                                              std::shared_ptr<Pin> pin) {
  namespace tls = grpc::experimental;
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(
      std::vector<tls::IdentityKeyCertPair>{{identity.private_key_pem, identity.certificate_pem}}));
  options.watch_identity_key_cert_pairs();
  // There is no chain to check and no host name in the certificate: the verifier compares the
  // fingerprint.
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      tls::ExternalCertificateVerifier::Create<PinnedVerifier>(std::move(pin)));
  return tls::TlsCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> server_credentials(const Identity& identity, Admit admit) {
  grpc::SslServerCredentialsOptions options(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.pem_key_cert_pairs.push_back({identity.private_key_pem, identity.certificate_pem});
  auto credentials = grpc::SslServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<Doorkeeper>(std::move(admit)));
  return credentials;
}

Result<DeviceId> peer_of(const grpc::ServerContextBase& context) {
  return caller_of(context.auth_context().get());
}

}  // namespace hearth::cluster
