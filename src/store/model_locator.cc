#include "store/model_locator.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>

namespace hearth::store {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGguf = ".gguf";

bool present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_model_directory(const fs::path& path) {
  return present(path / "config.json") || present(path / "tokenizer.json");
}

bool is_model_file(const fs::path& path) {
  std::error_code ignored;
  return path.extension() == kGguf && fs::is_regular_file(path, ignored);
}

// The alias that an entry of a root goes by; nothing when the entry is no model.
std::optional<std::string> alias_of(const fs::path& entry) {
  if (is_model_file(entry)) return entry.stem().string();
  if (is_model_directory(entry)) return entry.filename().string();
  return std::nullopt;
}

// "ember" of "/models/ember/" and of "/models/ember.gguf".
std::string name_of(const std::string& path) {
  std::error_code ignored;
  fs::path whole = fs::weakly_canonical(path, ignored);
  if (whole.filename().empty()) whole = whole.parent_path();
  return whole.extension() == kGguf ? whole.stem().string() : whole.filename().string();
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

bool looks_like_hub_id(const std::string& model) {
  const size_t slash = model.find('/');
  return slash != std::string::npos && slash > 0 && slash + 1 < model.size() && model[0] != '.' &&
         model.find('/', slash + 1) == std::string::npos && !model.ends_with(kGguf);
}

}  // namespace

std::vector<std::string> ModelLocator::default_roots(const std::string& binary_folder,
                                                     const Environment& get) {
  std::vector<std::string> roots;
  if (const char* folder = get("HEARTH_MODELS_DIR"); folder != nullptr && *folder != '\0') {
    roots.emplace_back(folder);
  }
  const fs::path above = fs::path(binary_folder).parent_path();
  roots.push_back(above / "models");
  roots.push_back(above / "share" / "hearth" / "models");
  return roots;
}

std::vector<std::string> ModelLocator::default_roots() {
  std::error_code ignored;
  const fs::path binary = fs::read_symlink("/proc/self/exe", ignored);
  return default_roots(binary.parent_path(), [](const char* name) { return std::getenv(name); });
}

Result<LocatedModel> ModelLocator::find(const std::string& model) const {
  if (model.empty()) return Error(Code::kInvalidArgument, "the model's name is empty");
  if (is_model_file(model) || is_model_directory(model)) return LocatedModel{name_of(model), model};
  for (LocatedModel& known : list()) {
    if (known.name == model) return std::move(known);
  }
  if (present(model)) {
    return Error(
        Code::kNotFound,
        model + " is neither a .gguf file nor a folder with config.json or tokenizer.json");
  }
  if (looks_like_hub_id(model)) {
    return Error(Code::kUnsupported,
                 "there is no " + model +
                     " here, and this build downloads no models: name a .gguf file or a folder");
  }
  return Error(Code::kNotFound, "there is no model '" + model + "' in " + joined(roots_) +
                                    ": name an alias, a .gguf file or a folder");
}

std::vector<LocatedModel> ModelLocator::list() const {
  std::map<std::string, std::string> found;
  for (const std::string& root : roots_) {
    std::error_code failed;
    fs::directory_iterator entries(root, failed);
    for (const fs::directory_iterator end; !failed && entries != end; entries.increment(failed)) {
      const fs::path entry = entries->path();
      if (auto alias = alias_of(entry)) found.emplace(*std::move(alias), entry.string());
    }
  }
  std::vector<LocatedModel> models;
  for (auto& [name, path] : found) models.push_back({name, path});
  return models;
}

}  // namespace hearth::store
