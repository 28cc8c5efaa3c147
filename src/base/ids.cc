#include "base/ids.h"

#include <openssl/rand.h>

#include <vector>

#include "base/result.h"

namespace hearth {

std::string random_hex(int bytes) {
  std::vector<unsigned char> raw(static_cast<size_t>(bytes));
  HEARTH_CHECK(RAND_bytes(raw.data(), bytes) == 1);
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(raw.size() * 2);
  for (unsigned char byte : raw) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace hearth
