#include "fabric/rendezvous/hello.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>

namespace hearth::fabric {
namespace {

constexpr std::string_view kMagic = "HRTH";
constexpr size_t kProofBytes = 32;

enum Verdict : uint8_t { kWelcome = 1, kWrongToken = 2, kNotExpected = 3 };

std::array<uint8_t, 16> fresh_nonce() {
  std::array<uint8_t, 16> nonce;
  HEARTH_CHECK(RAND_bytes(nonce.data(), nonce.size()) == 1);
  return nonce;
}

Hello hello_of(const Party& me, int to) {
  return {.purpose = me.purpose,
          .group_size = static_cast<uint8_t>(me.group_size),
          .from = static_cast<uint8_t>(me.rank),
          .to = static_cast<uint8_t>(to),
          .nonce = fresh_nonce()};
}

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

std::string Hello::encode() const {
  std::string bytes(kMagic);
  bytes.push_back(static_cast<char>(version & 0xff));
  bytes.push_back(static_cast<char>(version >> 8));
  for (const uint8_t byte : {static_cast<uint8_t>(purpose), group_size, from, to}) {
    bytes.push_back(static_cast<char>(byte));
  }
  bytes.append(nonce.begin(), nonce.end());
  return bytes;
}

std::optional<Hello> Hello::decode(std::string_view bytes) {
  HEARTH_CHECK(bytes.size() == kBytes);
  if (!bytes.starts_with(kMagic)) return std::nullopt;
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  Hello hello{.version = static_cast<uint16_t>(at(4) | at(5) << 8),
              .purpose = static_cast<Purpose>(at(6)),
              .group_size = at(7),
              .from = at(8),
              .to = at(9)};
  std::copy(bytes.begin() + 10, bytes.end(), hello.nonce.begin());
  return hello;
}

std::string prove(const std::string& token, std::string_view role, std::string_view dialer_hello,
                  std::string_view listener_hello) {
  const std::string message = fmt::format("{}{}{}", role, dialer_hello, listener_hello);
  std::string proof(kProofBytes, '\0');
  unsigned int bytes = 0;
  HEARTH_CHECK(HMAC(EVP_sha256(), token.data(), static_cast<int>(token.size()),
                    reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                    reinterpret_cast<unsigned char*>(proof.data()), &bytes) != nullptr);
  HEARTH_CHECK(bytes == kProofBytes);
  return proof;
}

Introduction Introduction::dialer(const Party& me, int to) {
  Introduction made(me, Stage::kListenerHello, Hello::kBytes);
  made.peer_ = to;
  made.dialer_hello_ = hello_of(me, to).encode();
  made.outgoing_ = made.dialer_hello_;
  return made;
}

Introduction Introduction::listener(const Party& me, const std::vector<bool>& expected) {
  Introduction made(me, Stage::kDialerHello, Hello::kBytes);
  made.expected_ = expected;
  return made;
}

void Introduction::expect(Stage stage, size_t bytes) {
  stage_ = stage;
  wanted_ = bytes;
}

Result<void> Introduction::feed(std::string_view bytes) {
  HEARTH_CHECK(wanted_ > 0 && bytes.size() == wanted_);
  switch (stage_) {
    case Stage::kDialerHello:
      return on_dialer_hello(bytes);
    case Stage::kDialerProof:
      return on_dialer_proof(bytes);
    case Stage::kListenerHello:
      return on_listener_hello(bytes);
    case Stage::kVerdict:
      return on_verdict(static_cast<uint8_t>(bytes[0]));
    case Stage::kListenerProof:
      return on_listener_proof(bytes);
  }
  return {};
}

Result<void> Introduction::on_dialer_hello(std::string_view bytes) {
  const std::optional<Hello> hello = Hello::decode(bytes);
  if (!hello) return Error(Code::kUnavailable, "not a rank");
  dialer_hello_ = bytes;
  listener_hello_ = hello_of(me_, hello->from).encode();
  outgoing_ = listener_hello_;  // also to a dialer of another version, so that it can say so
  if (hello->version != kProtocolVersion) {
    return Error(Code::kUnavailable, fmt::format("speaks version {}", hello->version));
  }
  peer_ = hello->from;
  expect(Stage::kDialerProof, kProofBytes);
  return {};
}

Result<void> Introduction::on_dialer_proof(std::string_view bytes) {
  // Whoever does not know the token learns nothing about the group, not even who is expected.
  if (!same(bytes, prove(me_.token, "dialer", dialer_hello_, listener_hello_))) {
    outgoing_.push_back(static_cast<char>(kWrongToken));
    return Error(Code::kPermissionDenied, "wrong token");
  }
  const Hello hello = *Hello::decode(dialer_hello_);
  if (hello.purpose != me_.purpose || hello.group_size != me_.group_size || hello.to != me_.rank ||
      hello.from >= expected_.size() || !expected_[hello.from]) {
    outgoing_.push_back(static_cast<char>(kNotExpected));
    return Error(Code::kUnavailable,
                 fmt::format("rank {} of {} is not expected here", hello.from, hello.group_size));
  }
  outgoing_.push_back(static_cast<char>(kWelcome));
  outgoing_ += prove(me_.token, "listener", dialer_hello_, listener_hello_);
  wanted_ = 0;
  return {};
}

Result<void> Introduction::on_listener_hello(std::string_view bytes) {
  const std::optional<Hello> hello = Hello::decode(bytes);
  if (!hello) return Error(Code::kUnavailable, "not a rank");
  if (hello->version != kProtocolVersion) {
    return Error(Code::kUnsupported, fmt::format("speaks version {} of the protocol, this is {}",
                                                 hello->version, kProtocolVersion));
  }
  if (hello->from != peer_) {
    return Error(Code::kUnavailable, fmt::format("rank {} answers there", hello->from));
  }
  listener_hello_ = bytes;
  outgoing_ = prove(me_.token, "dialer", dialer_hello_, listener_hello_);
  expect(Stage::kVerdict, 1);
  return {};
}

Result<void> Introduction::on_verdict(uint8_t verdict) {
  switch (verdict) {
    case kWelcome:
      expect(Stage::kListenerProof, kProofBytes);
      return {};
    case kWrongToken:
      return Error(Code::kPermissionDenied, "refused this rank's token");
    case kNotExpected:
      return Error(Code::kUnavailable, "does not expect this rank");
    default:
      return Error(Code::kUnavailable, "not a rank");
  }
}

Result<void> Introduction::on_listener_proof(std::string_view bytes) {
  if (!same(bytes, prove(me_.token, "listener", dialer_hello_, listener_hello_))) {
    return Error(Code::kPermissionDenied, "has another token");
  }
  wanted_ = 0;
  return {};
}

}  // namespace hearth::fabric
