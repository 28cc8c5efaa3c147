// A tokenizer.json: loaded, and a text encoded and decoded, whole and token by token.

#include "engine/tokenizer.h"

#include "tests/fuzz/fuzz.h"

using namespace hearth;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  const std::string_view input = fuzz::text_of(data, size);
  const auto tokenizer = engine::Tokenizer::load(folder.write("tokenizer.json", input));
  if (!tokenizer.ok()) return 0;
  std::string text =
      "The quick brown fox's 12345 jumps!\r\n\n  \t<|im_start|><s>caf\xc3\xa9 e\xcc\x81 "
      "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd \xff\xc3";
  text += input.substr(input.size() - std::min<size_t>(input.size(), 64));
  for (const bool special : {false, true}) {
    const std::vector<int32_t> ids = (*tokenizer)->encode(text, special);
    (*tokenizer)->decode(ids, special);
    for (const int32_t id : ids) {
      // An id without a token would break whoever counts on size().
      if (id < 0 || id >= (*tokenizer)->size()) __builtin_trap();
      (*tokenizer)->bytes(id, special);
    }
  }
  (*tokenizer)->id_of("<s>");
  return 0;
}
