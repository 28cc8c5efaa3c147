// Which files a model's name means. Start here: ModelLocator(ModelLocator::default_roots()).
#pragma once

#include <string>
#include <vector>

#include "base/config.h"
#include "base/result.h"

namespace hearth::store {

struct LocatedModel {
  std::string name;  // what people and clients call it: "ember"
  std::string path;  // a .gguf file or a Hugging Face directory, for engine::ModelFiles::open
};

// Immutable and thread-safe; looks at the disk anew on every call.
class ModelLocator {
 public:
  // `roots`: folders whose entries are models, the first that has a name wins.
  explicit ModelLocator(std::vector<std::string> roots) : roots_(std::move(roots)) {}

  // $HEARTH_MODELS_DIR, then models/ in a source tree (beside the binary's folder), then an
  // installation's share/hearth/models. `binary_folder` is the folder of the running program.
  static std::vector<std::string> default_roots(const std::string& binary_folder,
                                                const Environment& get);
  static std::vector<std::string> default_roots();

  // `model`: an alias (the name of an entry of a root), a path to a .gguf file, or a path to a
  // directory with config.json or tokenizer.json. kNotFound says what was looked for where;
  // kUnsupported for a hub id.
  Result<LocatedModel> find(const std::string& model) const;

  // The models of all roots, by name.
  std::vector<LocatedModel> list() const;

 private:
  std::vector<std::string> roots_;
};

}  // namespace hearth::store
