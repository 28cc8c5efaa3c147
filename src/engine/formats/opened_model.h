// What the readers of each kind of model on disk hand to ModelFiles::open.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/tensor_table.h"
#include "engine/model_spec.h"

namespace hearth::engine {

struct OpenedModel {
  std::vector<MappedFile> files;  // keep the tensors' bytes alive
  TensorTable tensors;            // Hugging Face's names
  ModelSpec spec;                 // satisfies check_spec
  std::string chat_template;
  std::string bos_token;
  std::string eos_token;
};

}  // namespace hearth::engine
