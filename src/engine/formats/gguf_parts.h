// A GGUF model in one file or in several: model-00001-of-00003.gguf and its siblings, as
// llama.cpp's gguf-split writes them
// (https://github.com/ggml-org/llama.cpp/tree/master/tools/gguf-split). docs/formats.md has the
// keys.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "engine/formats/gguf.h"
#include "engine/formats/mapped_file.h"

namespace hearth::engine {

struct GgufParts {
  std::vector<MappedFile> files;  // keep the bytes of `gguf` alive
  GgufFile gguf;                  // the first part, with the tensors of all
};

// `path`: the only file, or any part. kNotFound names a missing part; kCorrupt a part that is not
// what its name says, that belongs to another model, or that repeats a tensor.
Result<GgufParts> open_gguf_parts(const std::string& path);

}  // namespace hearth::engine
