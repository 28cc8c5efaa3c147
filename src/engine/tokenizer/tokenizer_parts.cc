#include "engine/tokenizer/tokenizer_parts.h"

#include <fmt/format.h>

namespace hearth::engine {

Result<void> check_special_ids(const TokenizerParts& parts, size_t tokens,
                               const std::string& file) {
  for (const std::vector<int32_t>* ids : {&parts.prefix, &parts.suffix}) {
    for (const int32_t id : *ids) {
      if (id >= 0 && static_cast<size_t>(id) < tokens) continue;
      return Error(Code::kCorrupt,
                   fmt::format("{}: special token id {} of {} tokens", file, id, tokens));
    }
  }
  return {};
}

}  // namespace hearth::engine
