// What differs between architectures: how their metadata reads, which tensors a layer has, and what
// it does with them. A new architecture is one file like qwen3.cc, an entry in architecture.cc, and
// its fixture under tests/golden.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/formats/gguf.h"
#include "engine/formats/json.h"
#include "engine/formats/tensor_table.h"
#include "engine/model_spec.h"
#include "engine/models/blocks.h"
#include "engine/models/weights.h"

namespace hearth::engine {

// A tensor's name in a GGUF file and Hugging Face's, without layer and ".weight".
struct TensorName {
  std::string_view gguf;
  std::string_view hugging_face;
};

struct ArchitectureCode {
  Architecture architecture;
  std::span<const std::string_view> model_types;  // of config.json
  std::span<const std::string_view> gguf_names;   // general.architecture; empty: GGUF has none
  // Names of tensors that differ from those of most architectures (formats/gguf_names.h).
  std::span<const TensorName> tensor_names;

  // Sizes that config.json may leave out; null: there are none.
  void (*set_defaults)(ModelSpec& spec);
  // Complete a spec in which sizes, rope and the attention's scale are read as most architectures
  // write them. Errors as ModelFiles::open.
  Result<void> (*read_config)(const JsonObject& config, ModelSpec& spec);
  Result<void> (*read_gguf)(const GgufFile& gguf, ModelSpec& spec);
  // What only a Hugging Face directory's tensors tell; null: nothing.
  void (*read_tensors)(const TensorTable& tensors, ModelSpec& spec);

  // Names the layer's tensors to the loader.
  Result<void> (*load_layer)(WeightLoader& loader, const ModelSpec& spec, int layer,
                             LayerWeights& weights);
  // The two halves of a layer, blocks.h. `layer` counts from the shard's first.
  void (*attention)(Pass& pass, const LayerWeights& weights, int layer);
  void (*feed_forward)(Pass& pass, const LayerWeights& weights);
};

extern const ArchitectureCode kLlama;
extern const ArchitectureCode kQwen2;
extern const ArchitectureCode kQwen2Moe;
extern const ArchitectureCode kQwen3;
extern const ArchitectureCode kQwen3Moe;
extern const ArchitectureCode kDeepseekV3;
extern const ArchitectureCode kGptOss;
extern const ArchitectureCode kGemma3;
extern const ArchitectureCode kGlm4Moe;
extern const ArchitectureCode kPhi3;
extern const ArchitectureCode kMinimaxM2;
extern const ArchitectureCode kQwen3Next;
extern const ArchitectureCode kQwen35;
extern const ArchitectureCode kQwen35Moe;

const ArchitectureCode& code_of(Architecture architecture);
// Null if no architecture has that name.
const ArchitectureCode* find_model_type(std::string_view model_type);
const ArchitectureCode* find_gguf_name(std::string_view name);
// "llama, mistral, qwen2, ..."
std::string known_model_types();
std::string known_gguf_names();

}  // namespace hearth::engine
