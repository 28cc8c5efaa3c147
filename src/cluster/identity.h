// Who a device is: a key pair and a self-signed certificate, made once and kept. The device's id is
// the SHA-256 of the certificate (DER), in hex: it cannot be claimed without the key.
#pragma once

#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"

namespace hearth::cluster {

struct Identity {
  DeviceId id;
  std::string certificate_pem;
  std::string private_key_pem;

  // Reads DIR/device.crt and DIR/device.key (mode 0600), or makes and stores them (atomically).
  // kCorrupt if they are damaged or do not belong together: says which file to remove to get a new
  // identity.
  static Result<Identity> load_or_create(const std::string& directory);
};

// The id that belongs to a certificate. kInvalidArgument if it is not one.
Result<DeviceId> device_id_of(std::string_view certificate_pem);

}  // namespace hearth::cluster
