#include "engine/models/architecture.h"

#include <algorithm>
#include <array>

namespace hearth::engine {
namespace {

constexpr std::array kArchitectures = {
    &kLlama,  &kQwen2,   &kQwen2Moe, &kQwen3,     &kQwen3Moe,  &kDeepseekV3, &kGptOss,
    &kGemma3, &kGlm4Moe, &kPhi3,     &kMinimaxM2, &kQwen3Next, &kQwen35,     &kQwen35Moe};

using Names = std::span<const std::string_view> ArchitectureCode::*;

const ArchitectureCode* find(Names names, std::string_view name) {
  for (const ArchitectureCode* code : kArchitectures) {
    const auto& list = code->*names;
    if (std::find(list.begin(), list.end(), name) != list.end()) return code;
  }
  return nullptr;
}

std::string list(Names names) {
  std::string text;
  for (const ArchitectureCode* code : kArchitectures) {
    for (const std::string_view name : code->*names) {
      if (!text.empty()) text += ", ";
      text += name;
    }
  }
  return text;
}

}  // namespace

const ArchitectureCode& code_of(Architecture architecture) {
  const auto found = std::find_if(
      kArchitectures.begin(), kArchitectures.end(),
      [&](const ArchitectureCode* code) { return code->architecture == architecture; });
  return **found;
}

const ArchitectureCode* find_model_type(std::string_view model_type) {
  return find(&ArchitectureCode::model_types, model_type);
}
const ArchitectureCode* find_gguf_name(std::string_view name) {
  return find(&ArchitectureCode::gguf_names, name);
}
std::string known_model_types() { return list(&ArchitectureCode::model_types); }
std::string known_gguf_names() { return list(&ArchitectureCode::gguf_names); }

}  // namespace hearth::engine
