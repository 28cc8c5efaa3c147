// What the UCX transport knows of its peers and sends ahead of every message. Private to ucx/.
#pragma once

#include <ucp/api/ucp.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <list>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fabric/common/inbox.h"
#include "fabric/rendezvous/hello.h"
#include "fabric/transport.h"

namespace hearth::fabric {

// Precedes every message; byte order is the host's, as UCX's own is. `seal` proves that the sender
// knows the group's token: UCX itself lets anyone connect.
struct UcxHeader {
  uint64_t seal;
  uint32_t from;
  uint32_t tag;
};
static_assert(sizeof(UcxHeader) == 16);

inline uint64_t seal_of(const std::string& token, int from, int to) {
  const std::string proof = prove(token, fmt::format("ucx {} to {}", from, to), "", "");
  uint64_t seal;
  std::memcpy(&seal, proof.data(), sizeof seal);
  return seal;
}

// Two worker addresses as one Transport::local_address.
struct UcxAddresses {
  std::string near;  // over shared memory and networks
  std::string far;   // over networks

  // The first one's length in two bytes, then both.
  std::string encode() const {
    return fmt::format("{}{}{}{}", static_cast<char>(near.size() & 0xff),
                       static_cast<char>(near.size() >> 8), near, far);
  }
  static UcxAddresses decode(std::string_view bytes) {
    if (bytes.size() < 2) return {};
    const size_t split = static_cast<uint8_t>(bytes[0]) | static_cast<uint8_t>(bytes[1]) << 8;
    bytes.remove_prefix(2);
    return {std::string(bytes.substr(0, split)),
            std::string(bytes.substr(std::min(split, bytes.size())))};
  }
};

// A message that arrived before it was asked for. While `descriptor` is set it still lies with its
// sender.
struct UcxArrival {
  Tag tag;
  size_t bytes;
  void* descriptor = nullptr;  // to pull it with, once
  void* pull = nullptr;        // the request that fills `message`; null when done
  Message message{};
};

struct UcxPeer {
  int rank = 0;
  ucp_ep_h endpoint = nullptr;
  uint64_t send_seal = 0, recv_seal = 0;
  bool shares_memory = false;
  std::string carrier;  // as Transport has it
  Tag hellos = 0;       // heard from it
  std::optional<Error> gone;
  UcxHeader header{};              // of the message being sent
  int64_t eager_bytes = 0;         // sent since a message was last pulled, as the peer counts them
  std::list<UcxArrival> arrivals;  // oldest first
  int64_t kept_bytes = 0;          // of arrivals whose bytes are here

  bool full() const { return kept_bytes >= kUnclaimedBytesMax; }
  void lose(const std::string& why) {
    if (!gone) gone = Error(Code::kUnavailable, fmt::format("rank {}: {}", rank, why));
  }
};

}  // namespace hearth::fabric
