// The transports that a rank has, best first, and how it is reached over each: what ranks exchange
// before they settle on one. Bytes: docs/protocols.md, "Offers".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace hearth::fabric {

struct Offer {
  std::string transport;  // <= 255 bytes
  std::string address;    // Transport::local_address
};

std::string encode_offers(const std::vector<Offer>& offers);
// kCorrupt when `bytes` is anything else.
Result<std::vector<Offer>> decode_offers(std::string_view bytes);

// The address of `transport` among `offers`, or null.
const std::string* find_offer(const std::vector<Offer>& offers, std::string_view transport);

}  // namespace hearth::fabric
