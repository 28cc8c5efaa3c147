// A group's ranks find each other over TCP: each dials every lower rank, again and again until it
// is there, and accepts every higher one. Strangers who connect meanwhile are bounded in number and
// time.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "fabric/rendezvous/hello.h"
#include "fabric/rendezvous/socket.h"

namespace hearth::fabric {

struct Meeting {
  Party me;
  std::vector<std::string>
      addresses;  // "host:port" where each rank listens, by rank; own entry unused
  int timeout_ms = 30'000;
  const Alarm* alarm = nullptr;  // ends the meeting with kCancelled when it rings; may be null
};

// Connected sockets, by rank; this rank's own entry is empty. Blocks. kDeadlineExceeded and
// kUnavailable name the rank that did not come or went away, kPermissionDenied and kUnsupported the
// one that refused.
Result<std::vector<Socket>> meet(const Socket& listener, const Meeting& meeting);

}  // namespace hearth::fabric
