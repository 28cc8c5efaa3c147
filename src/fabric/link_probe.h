// How fast a path between two devices is: some messages to and fro, then a short burst.
//
//   HEARTH_TRY(auto server, fabric::LinkProbeServer::listen(""));  // tell port() and token()
//   HEARTH_TRY(auto link, fabric::probe_link("10.0.0.2", port, token, {}));
//
// Bytes on the wire: docs/protocols.md, "Link probes". Whoever does not know the server's token
// gets nothing measured; what a peer sends is never more than echoed or dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/result.h"
#include "base/units.h"

namespace hearth::fabric {

// Of a burst; and of all that one connection may send.
inline constexpr int64_t kProbeBurstBytesMax = 16_MiB;
inline constexpr int64_t kProbeConnectionBytesMax = 32_MiB;

struct LinkMeasurement {
  std::string local_host;  // numeric addresses of the path's two ends
  std::string peer_host;
  double latency_us = 0;       // one way, of 64 bytes: half of the median round trip
  double bits_per_second = 0;  // from here to there; 0: not asked for
};

struct LinkProbeOptions {
  bool bandwidth = true;  // a burst of up to kProbeBurstBytesMax, too
  int timeout_ms = 3000;  // for all of it
};

// Measures the path to the server at `host` (numeric or a name) and `port`. Blocks. Bursts grow
// until one takes 20 ms: less than a second on links from 2 Mbit/s on. kUnavailable and
// kDeadlineExceeded say why there is no path, kPermissionDenied that another device answers there.
Result<LinkMeasurement> probe_link(const std::string& host, int port, const std::string& token,
                                   const LinkProbeOptions& options);

// Answers probes on threads of its own, from construction to destruction: 8 connections at a time,
// each for at most 5 s.
class LinkProbeServer {
 public:
  virtual ~LinkProbeServer() = default;
  // Binds an ephemeral port at `host` (empty: every interface). kUnavailable otherwise.
  static Result<std::unique_ptr<LinkProbeServer>> listen(const std::string& host);

  virtual int port() const = 0;
  // Fresh with every server.
  virtual const std::string& token() const = 0;
};

// A probe's request: what the server reads, and sends back once all of it came.
struct ProbeRequest {
  static constexpr size_t kBytes = 8;
  uint32_t payload = 0;  // bytes that follow and are dropped

  std::string encode() const;
  // Nothing for what no prober sends. REQUIRES: bytes.size() == kBytes.
  static std::optional<ProbeRequest> decode(std::string_view bytes);
};

}  // namespace hearth::fabric
