#include "engine/model_files.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "engine/formats/gguf_model.h"
#include "engine/formats/hf_directory.h"
#include "engine/formats/spec_check.h"
#include "engine/models/layers.h"

namespace hearth::engine {
namespace {

class OpenedModelFiles final : public ModelFiles {
 public:
  OpenedModelFiles(std::string path, OpenedModel model)
      : path_(std::move(path)), model_(std::move(model)) {}

  // Fills tensors(). Errors as survey_tensors.
  Result<void> survey() {
    HEARTH_TRY(survey_, survey_tensors(*this, model_.tensors));
    return {};
  }

  Result<void> check_intact() const override {
    for (const MappedFile& file : model_.files) HEARTH_RETURN_IF_ERROR(file.check_intact());
    return {};
  }

  void release(std::span<const std::byte> bytes) const override {
    for (const MappedFile& file : model_.files) file.release(bytes);
  }

  const ModelSpec& spec() const override { return model_.spec; }
  const std::string& path() const override { return path_; }

  Result<TensorView> tensor(std::string_view name) const override {
    const auto found = model_.tensors.find(name);
    if (found != model_.tensors.end()) return found->second;
    return Error(Code::kNotFound, path_ + ": no tensor " + std::string(name));
  }

  bool has_tensor(std::string_view name) const override { return model_.tensors.contains(name); }

  const std::vector<ModelTensor>& tensors() const override { return survey_.tensors; }

  const ColumnUnits& column_units() const override { return survey_.column_units; }

  int64_t shard_bytes(const Shard& shard) const override {
    if (shard.slices() > 1) return bytes_of_slice(shard);
    const bool last = shard.last(model_.spec.layers);
    int64_t bytes = 0;
    for (const ModelTensor& tensor : survey_.tensors) {
      const bool embedding = tensor.layer == ModelTensor::kEmbedding;
      const bool held = embedding ? shard.first() || (last && model_.spec.tied_embedding)
                        : tensor.layer == ModelTensor::kHead
                            ? last
                            : tensor.layer >= shard.layer_begin && tensor.layer < shard.layer_end;
      if (held) bytes += tensor.bytes;
    }
    return bytes;
  }

  std::string main_encoding() const override {
    std::map<Encoding, int64_t> bytes;
    for (const ModelTensor& tensor : survey_.tensors) bytes[tensor.encoding] += tensor.bytes;
    const auto most =
        std::max_element(bytes.begin(), bytes.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    return std::string(to_string(most->first));
  }

  std::string chat_template() const override { return model_.chat_template; }
  std::string bos_token() const override { return model_.bos_token; }
  std::string eos_token() const override { return model_.eos_token; }

 private:
  int64_t bytes_of_slice(const Shard& shard) const {
    WeightLoader loader(*this, Slice::create(spec(), survey_.column_units, shard));
    Weights weights;
    const auto collected = collect_weights(loader, spec(), shard, weights);
    HEARTH_CHECK(collected.ok());  // the survey found all of it
    int64_t bytes = 0;
    for (const ModelTensor& tensor : loader.tensors()) bytes += tensor.bytes;
    return bytes;
  }

  std::string path_;
  OpenedModel model_;
  Survey survey_;
};

}  // namespace

Result<std::unique_ptr<ModelFiles>> ModelFiles::open(const std::string& path) {
  std::error_code ignored;  // what cannot be looked at is opened as a file, which says why
  const bool directory = std::filesystem::is_directory(path, ignored);
  HEARTH_TRY(OpenedModel model, directory ? open_hf_directory(path) : open_gguf(path));
  HEARTH_RETURN_IF_ERROR(check_spec(model.spec, path));
  auto files = std::make_unique<OpenedModelFiles>(path, std::move(model));
  HEARTH_RETURN_IF_ERROR(files->survey());
  HEARTH_RETURN_IF_ERROR(files->check_intact());
  return std::unique_ptr<ModelFiles>(std::move(files));
}

}  // namespace hearth::engine
