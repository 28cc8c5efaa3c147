#include "runtime/candidates.h"

#include <cmath>
#include <cstring>
#include <string>

namespace hearth::runtime {
namespace {

static_assert(sizeof(engine::Candidate) == 8, "what the wire has of each");

Error corrupt(const std::string& what) { return Error(Code::kCorrupt, "candidates: " + what); }

void append(const void* data, size_t size, std::vector<std::byte>* out) {
  const auto* bytes = static_cast<const std::byte*>(data);
  out->insert(out->end(), bytes, bytes + size);
}

}  // namespace

std::vector<std::byte> encode(const CandidateLists& lists) {
  std::vector<std::byte> bytes;
  for (const auto& list : lists) {
    const auto count = static_cast<uint32_t>(list.size());
    append(&count, sizeof count, &bytes);
    append(list.data(), list.size() * sizeof(engine::Candidate), &bytes);
  }
  return bytes;
}

Result<void> append_candidates(std::span<const std::byte> bytes, int32_t first_id, int32_t end_id,
                               CandidateLists* lists) {
  for (auto& list : *lists) {
    uint32_t count = 0;
    if (bytes.size() < sizeof count) return corrupt("too few lists");
    std::memcpy(&count, bytes.data(), sizeof count);
    bytes = bytes.subspan(sizeof count);
    if (count > bytes.size() / sizeof(engine::Candidate)) return corrupt("too few in a list");
    int64_t next_id = first_id;
    for (uint32_t i = 0; i < count; ++i) {
      engine::Candidate candidate;
      std::memcpy(&candidate, bytes.data(), sizeof candidate);
      bytes = bytes.subspan(sizeof candidate);
      if (candidate.id < next_id || candidate.id >= end_id) {
        return corrupt("token " + std::to_string(candidate.id) + " is not between " +
                       std::to_string(next_id) + " and " + std::to_string(end_id));
      }
      if (std::isnan(candidate.logit)) return corrupt("a logit that is no number");
      next_id = int64_t{candidate.id} + 1;
      list.push_back(candidate);
    }
  }
  if (!bytes.empty()) return corrupt("more than the lists");
  return {};
}

}  // namespace hearth::runtime
