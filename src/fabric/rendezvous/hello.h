// How two ranks make sure of each other on a fresh connection: magic, version, who is who, and
// proof that both know the group's token, which itself never crosses the wire. Bytes:
// docs/protocols.md, "Hello". No sockets here: bytes in, bytes out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::fabric {

inline constexpr uint16_t kProtocolVersion = 1;

// What a connection will carry; a stray one of the other purpose is refused.
enum class Purpose : uint8_t { kControl = 1, kData = 2, kProbe = 3 };

// One side of a connection. `token` is the group's secret.
struct Party {
  int rank = 0;
  int group_size = 0;
  Purpose purpose = Purpose::kControl;
  std::string token;
};

// The first message of each side.
struct Hello {
  static constexpr size_t kBytes = 26;

  uint16_t version = kProtocolVersion;
  Purpose purpose = Purpose::kControl;
  uint8_t group_size = 0;
  uint8_t from = 0;
  uint8_t to = 0;
  std::array<uint8_t, 16> nonce{};

  std::string encode() const;
  // REQUIRES: bytes.size() == kBytes. Nothing when the magic is not there.
  static std::optional<Hello> decode(std::string_view bytes);
};

// HMAC-SHA256 over `role` and both hellos.
std::string prove(const std::string& token, std::string_view role, std::string_view dialer_hello,
                  std::string_view listener_hello);

// One side of the introduction. Alternate: send `take_outgoing()`, feed exactly `wanted()` bytes,
// until `done()`. Not thread-safe.
class Introduction {
 public:
  // Dials `to`. Failures of feed(): kPermissionDenied (another token, or refused as such),
  // kUnsupported (another version), kUnavailable (anything else; dialing again may help).
  static Introduction dialer(const Party& me, int to);
  // Answers a dialer that has to be one of `expected`. Failures of feed(): kPermissionDenied for a
  // wrong token, kUnavailable otherwise. take_outgoing() then still has what tells the dialer why.
  static Introduction listener(const Party& me, const std::vector<bool>& expected);

  std::string take_outgoing() { return std::exchange(outgoing_, {}); }
  size_t wanted() const { return wanted_; }
  bool done() const { return wanted_ == 0; }
  // The peer's rank: claimed from its hello on, proven once done. -1 before.
  int peer() const { return peer_; }

  // REQUIRES: bytes.size() == wanted() > 0.
  Result<void> feed(std::string_view bytes);

 private:
  enum class Stage { kListenerHello, kDialerHello, kDialerProof, kVerdict, kListenerProof };

  Introduction(const Party& me, Stage stage, size_t wanted)
      : me_(me), stage_(stage), wanted_(wanted) {}

  void expect(Stage stage, size_t bytes);
  Result<void> on_dialer_hello(std::string_view bytes);
  Result<void> on_dialer_proof(std::string_view bytes);
  Result<void> on_listener_hello(std::string_view bytes);
  Result<void> on_verdict(uint8_t verdict);
  Result<void> on_listener_proof(std::string_view bytes);

  Party me_;
  Stage stage_;
  size_t wanted_;
  int peer_ = -1;
  std::vector<bool> expected_;  // the listener's: who may still come
  std::string dialer_hello_, listener_hello_;
  std::string outgoing_;
};

}  // namespace hearth::fabric
