#include "fabric/rendezvous/offers.h"

#include <algorithm>
#include <cstdint>

namespace hearth::fabric {

std::string encode_offers(const std::vector<Offer>& offers) {
  std::string bytes;
  for (const Offer& offer : offers) {
    HEARTH_CHECK(offer.transport.size() <= 0xff && offer.address.size() <= 0xffff);
    bytes.push_back(static_cast<char>(offer.transport.size()));
    bytes += offer.transport;
    bytes.push_back(static_cast<char>(offer.address.size() & 0xff));
    bytes.push_back(static_cast<char>(offer.address.size() >> 8));
    bytes += offer.address;
  }
  return bytes;
}

Result<std::vector<Offer>> decode_offers(std::string_view bytes) {
  std::vector<Offer> offers;
  bool whole = true;
  const auto take = [&](size_t count) {
    whole = whole && count <= bytes.size();
    const std::string_view taken = bytes.substr(0, whole ? count : 0);
    bytes.remove_prefix(taken.size());
    return taken;
  };
  const auto number = [&](size_t count) {
    size_t value = 0;
    const std::string_view digits = take(count);
    for (size_t i = 0; i < digits.size(); ++i)
      value |= size_t{static_cast<uint8_t>(digits[i])} << 8 * i;
    return value;
  };
  while (whole && !bytes.empty()) {
    Offer offer;
    offer.transport = take(number(1));
    offer.address = take(number(2));
    offers.push_back(std::move(offer));
  }
  if (!whole) return Error(Code::kCorrupt, "truncated list of transports");
  return offers;
}

const std::string* find_offer(const std::vector<Offer>& offers, std::string_view transport) {
  const auto found = std::find_if(offers.begin(), offers.end(),
                                  [&](const Offer& offer) { return offer.transport == transport; });
  return found == offers.end() ? nullptr : &found->address;
}

}  // namespace hearth::fabric
