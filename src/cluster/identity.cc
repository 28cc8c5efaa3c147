#include "cluster/identity.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>

#include "base/files.h"
#include "base/units.h"

namespace hearth::cluster {
namespace {

constexpr size_t kPemBytesMax = 64_KiB;

template <auto kFree>
struct Freer {
  template <class T>
  void operator()(T* pointer) const {
    kFree(pointer);
  }
};
using X509Pointer = std::unique_ptr<X509, Freer<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using BioPointer = std::unique_ptr<BIO, Freer<BIO_free_all>>;

BioPointer reader(std::string_view text) {
  return BioPointer(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

// Never asks on the terminal for the password of an encrypted key.
int no_password(char*, int, int, void*) { return -1; }

X509Pointer parse_certificate(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return nullptr;
  return X509Pointer(PEM_read_bio_X509(reader(pem).get(), nullptr, no_password, nullptr));
}

KeyPointer parse_key(std::string_view pem) {
  if (pem.size() > kPemBytesMax) return nullptr;
  return KeyPointer(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, no_password, nullptr));
}

Result<DeviceId> fingerprint(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return Error(Code::kInvalidArgument, "the certificate cannot be encoded");
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(der, static_cast<size_t>(size), digest);
  OPENSSL_free(der);
  std::string hex;
  for (const unsigned char byte : digest) hex += fmt::format("{:02x}", byte);
  return DeviceId(hex);
}

// The dates leave nothing to a wrong clock: a certificate stands for its key, not for a period.
bool fill(X509* certificate, EVP_PKEY* key) {
  uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return false;
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto* common_name = reinterpret_cast<const unsigned char*>("hearth device");
  return X509_set_version(certificate, X509_VERSION_3) == 1 &&
         ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1 &&
         ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20000101000000Z") == 1 &&
         ASN1_TIME_set_string(X509_getm_notAfter(certificate), "99991231235959Z") == 1 &&
         X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, common_name, -1, -1, 0) == 1 &&
         X509_set_issuer_name(certificate, name) == 1 && X509_set_pubkey(certificate, key) == 1 &&
         X509_sign(certificate, key, EVP_sha256()) != 0;
}

Result<Identity> make() {
  const KeyPointer key(EVP_EC_gen("P-256"));
  const X509Pointer certificate(X509_new());
  if (key == nullptr || certificate == nullptr || !fill(certificate.get(), key.get())) {
    return Error(Code::kInternal, "OpenSSL could not make a P-256 key and its certificate");
  }
  const BioPointer certificate_out(BIO_new(BIO_s_mem()));
  const BioPointer key_out(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(certificate_out.get(), certificate.get()) != 1 ||
      PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Error(Code::kInternal, "OpenSSL could not write the new key and certificate");
  }
  HEARTH_TRY(DeviceId id, fingerprint(certificate.get()));
  return Identity{std::move(id), drain(certificate_out.get()), drain(key_out.get())};
}

Result<Identity> create(const std::string& certificate_path, const std::string& key_path) {
  HEARTH_TRY(Identity identity, make());
  // The certificate last: without it, there is no identity yet and the next start makes one.
  HEARTH_RETURN_IF_ERROR(write_private_file(key_path, identity.private_key_pem));
  HEARTH_RETURN_IF_ERROR(write_private_file(certificate_path, identity.certificate_pem));
  return identity;
}

}  // namespace

Result<Identity> Identity::load_or_create(const std::string& directory) {
  const std::string certificate_path = (std::filesystem::path(directory) / "device.crt").string();
  const std::string key_path = (std::filesystem::path(directory) / "device.key").string();
  std::error_code failure;
  if (!std::filesystem::exists(directory, failure)) {
    std::filesystem::create_directories(directory, failure);
    if (failure) {
      return Error(Code::kPermissionDenied,
                   fmt::format("creating {}: {}", directory, failure.message()));
    }
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, failure);
  }
  if (!std::filesystem::exists(certificate_path, failure)) {
    return create(certificate_path, key_path);
  }
  if (!std::filesystem::exists(key_path, failure)) {
    return Error(Code::kCorrupt,
                 fmt::format("{} is missing: restore it, or remove {} to get a new identity",
                             key_path, certificate_path));
  }

  Identity identity;
  HEARTH_TRY(identity.certificate_pem, read_file(certificate_path, kPemBytesMax));
  HEARTH_TRY(identity.private_key_pem, read_file(key_path, kPemBytesMax));
  const std::string remedy =
      fmt::format("restore it from a backup, or remove {} to get a new identity", certificate_path);
  const X509Pointer certificate = parse_certificate(identity.certificate_pem);
  if (certificate == nullptr) {
    return Error(Code::kCorrupt,
                 fmt::format("{} is not a certificate: {}", certificate_path, remedy));
  }
  const KeyPointer key = parse_key(identity.private_key_pem);
  if (key == nullptr) {
    return Error(Code::kCorrupt, fmt::format("{} is not a private key: {}", key_path, remedy));
  }
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    return Error(Code::kCorrupt,
                 fmt::format("{} does not belong to {}: {}", key_path, certificate_path, remedy));
  }
  // A key that a backup tool restored readable for everyone is closed again.
  ::chmod(key_path.c_str(), 0600);
  ::chmod(certificate_path.c_str(), 0600);
  HEARTH_TRY(identity.id, fingerprint(certificate.get()));
  return identity;
}

Result<DeviceId> device_id_of(std::string_view certificate_pem) {
  const X509Pointer certificate = parse_certificate(certificate_pem);
  if (certificate == nullptr) return Error(Code::kInvalidArgument, "not a certificate");
  return fingerprint(certificate.get());
}

}  // namespace hearth::cluster
