#include "engine/models/weights.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <set>

#include "engine/formats/encoding.h"
#include "engine/tensor/decode.h"
#include "engine/tensor/requantize.h"

namespace hearth::engine {
namespace {

// A thread gives the file's pages back after so many bytes.
constexpr int64_t kPieceBytes = 1 << 20;

// What --quantize does to a matrix of this name. Embedding and head decide each token directly, and
// routers which experts are asked; routers are small.
Quantize quantize_of(std::string_view name, Quantize quantize) {
  for (const std::string_view router :
       {".mlp.gate.weight", ".router.weight", "expert_gate.weight"}) {
    if (name.ends_with(router)) return Quantize::kNone;
  }
  const bool words = name == "model.embed_tokens.weight" || name == "lm_head.weight";
  return words && quantize == Quantize::kQ4 ? Quantize::kQ8 : quantize;
}

std::string shape_text(int64_t rows, int64_t columns) {
  return std::to_string(rows) + " x " + std::to_string(columns);
}

}  // namespace

Result<TensorView> WeightLoader::find(const std::string& name, int64_t rows,
                                      int64_t columns) const {
  if (!has(name)) {
    return Error(Code::kCorrupt, files_.path() + ": tensor " + name + " is missing, expected " +
                                     shape_text(rows, columns));
  }
  HEARTH_TRY(const TensorView view, files_.tensor(name));
  if (view.rows != rows || view.columns != columns) {
    return Error(Code::kCorrupt, files_.path() + ": tensor " + name + " is " +
                                     shape_text(view.rows, view.columns) + ", expected " +
                                     shape_text(rows, columns));
  }
  return view;
}

void WeightLoader::note(const std::string& name, const TensorView& view, int64_t columns) {
  tensors_.push_back({.name = name,
                      .encoding = view.encoding,
                      .rows = view.rows,
                      .columns = columns,
                      .bytes = columns == 0 ? 0 : stored_bytes(view) * columns / view.columns,
                      .layer = layer_});
}

Result<void> WeightLoader::vector(const std::string& name, int64_t size, std::vector<float>* out) {
  return rows(name, 1, size, out);
}

Result<void> WeightLoader::rows(const std::string& name, int64_t rows, int64_t columns,
                                std::vector<float>* out) {
  HEARTH_TRY(const TensorView view, find(name, rows, columns));
  note(name, view, columns);
  out->resize(rows * columns);
  decode_tensor(view, out->data());
  release(view, 0, rows);
  return {};
}

Result<void> WeightLoader::vector_part(const std::string& name, int64_t size, Range own,
                                       std::vector<float>* out) {
  std::vector<float> whole;
  HEARTH_RETURN_IF_ERROR(vector(name, size, &whole));
  out->assign(whole.begin() + own.begin, whole.begin() + own.end);
  return {};
}

Result<void> WeightLoader::numbers(const std::string& name, int64_t count,
                                   std::vector<float>* out) {
  HEARTH_TRY(const TensorView view, files_.tensor(name));
  // A product that does not overflow: both factors were checked against the file's size.
  if (view.rows * view.columns != count) {
    return Error(Code::kCorrupt, files_.path() + ": tensor " + name + " is " +
                                     shape_text(view.rows, view.columns) + ", expected " +
                                     std::to_string(count) + " numbers");
  }
  return rows(name, view.rows, view.columns, out);
}

Result<void> WeightLoader::norm(const std::string& name, int64_t size, std::vector<float>* out) {
  return norm_part(name, size, {0, size}, out);
}

Result<void> WeightLoader::norm_part(const std::string& name, int64_t size, Range own,
                                     std::vector<float>* out) {
  HEARTH_RETURN_IF_ERROR(vector_part(name, size, own, out));
  if (files_.spec().norm_plus_one) {
    for (float& weight : *out) weight += 1;
  }
  return {};
}

Result<void> WeightLoader::matrix(const std::string& name, int64_t rows, int64_t columns,
                                  PackedMatrix* out) {
  return part(name, rows, columns, {.first = 0, .count = rows}, out);
}

Result<void> WeightLoader::part(const std::string& name, int64_t rows, int64_t columns,
                                Choice choice, PackedMatrix* out) {
  HEARTH_TRY(const TensorView view, find(name, rows, columns));
  add_matrix(name, view.select(choice.first, choice.count, choice.step, choice.run), out);
  return {};
}

Result<void> WeightLoader::joint(Joint joint, const std::string& name, int64_t rows,
                                 int64_t columns, Choice choice, Range inputs, PackedMatrix* out) {
  HEARTH_TRY(const TensorView view, find(name, rows, columns));
  // No unit that matters is larger than all columns.
  units_[joint] = std::min(std::lcm(units_[joint], column_unit(view)), columns);
  const TensorView chosen = view.select_columns(inputs.begin, inputs.size());
  add_matrix(name, chosen.select(choice.first, choice.count, choice.step, choice.run), out);
  return {};
}

void WeightLoader::add_matrix(const std::string& name, const TensorView& view, PackedMatrix* out) {
  note(name, view, view.columns);
  const Encoding encoding = packed_encoding(view, quantize_of(name, quantize_));
  const bool requantise = encoding != view.encoding;
  TensorView packed = view;
  if (requantise) packed = {.encoding = encoding, .rows = view.rows, .columns = view.columns};
  *out = PackedMatrix(packed);
  add_job(view, std::nullopt, requantise, out);
}

Result<void> WeightLoader::transposed(const std::string& name, int64_t rows, int64_t columns,
                                      Choice inputs, Choice outputs, PackedMatrix* out) {
  HEARTH_TRY(const TensorView view, find(name, rows, columns));
  if (view.encoding > Encoding::kBF16) {
    return Error(Code::kUnsupported, files_.path() + ": tensor " + name + " is " +
                                         std::string(to_string(view.encoding)) +
                                         ", and transposed: expected F32, F16 or BF16");
  }
  const TensorView chosen = view.select(inputs.first, inputs.count, inputs.step, inputs.run);
  note(name, chosen, outputs.count);
  *out = transposed_geometry(chosen, outputs);
  add_job(chosen, outputs, false, out);
  return {};
}

Result<bool> WeightLoader::quantised(const std::string& name) const {
  HEARTH_TRY(const TensorView view, files_.tensor(name));
  return block_elements(view.encoding) > 1;
}

WeightLoader::Place WeightLoader::place_of_expert(const std::string& prefix,
                                                  const std::string& name, int number, int experts,
                                                  int64_t rows) const {
  const std::string own = prefix + std::to_string(number) + "." + name;
  if (has(own)) return {own, rows, 0};
  return {prefix + name, rows * experts, rows * number};
}

void WeightLoader::add_job(const TensorView& view, std::optional<Choice> transposed,
                           bool requantise, PackedMatrix* out) {
  if (out->bytes() == 0) return;  // an empty slice
  bytes_ += out->bytes();
  jobs_.push_back({view, out, tensors_.size() - 1, transposed, layer_, requantise});
}

int WeightLoader::layers() const {
  std::set<int> layers;
  for (const Job& job : jobs_) {
    if (job.layer >= 0) layers.insert(job.layer);
  }
  return static_cast<int>(layers.size());
}

std::vector<WeightLoader::Matrix> WeightLoader::matrices() const {
  std::vector<Matrix> matrices;
  for (const Job& job : jobs_) matrices.push_back({&tensors_[job.tensor], job.matrix});
  return matrices;
}

std::vector<Encoding> WeightLoader::encodings() const {
  std::map<Encoding, int64_t> bytes;
  for (const Job& job : jobs_) bytes[job.matrix->encoding] += job.matrix->bytes();
  std::vector<Encoding> encodings;
  for (const auto& entry : bytes) encodings.push_back(entry.first);
  std::ranges::sort(encodings, [&](Encoding a, Encoding b) { return bytes[a] > bytes[b]; });
  return encodings;
}

// The thread that packs a block is mostly the one that will multiply with it.
void WeightLoader::pack_part(const Job& job, const Worker& worker) const {
  // Rows that are a block's, or the columns of a group.
  const int64_t unit = job.transposed ? kernels::kGroup : kernels::kBlockRows;
  const int64_t rows = job.view.rows;
  const Range units = worker.part((rows + unit - 1) / unit);
  const int64_t unit_bytes = (stored_bytes(job.view) / rows + 1) * unit;
  const int64_t step = std::max<int64_t>(1, kPieceBytes / unit_bytes);
  for (int64_t begin = units.begin; begin < units.end; begin += step) {
    const int64_t end = std::min(begin + step, units.end);
    const int64_t rows_end = std::min(end * unit, rows);
    if (job.transposed) {
      pack_transposed(job.view, *job.transposed, *job.matrix, begin * unit, rows_end);
    } else if (job.requantise) {
      requantize_blocks(job.view, *job.matrix, begin, end);
    } else {
      pack_blocks(job.view, *job.matrix, begin, end);
    }
    release(job.view, begin * unit, rows_end);
  }
}

void WeightLoader::release(const TensorView& view, int64_t begin, int64_t end) const {
  files_.release(bytes_of_rows(view, begin, end));
  for (const auto& scales : {view.groups.scales, view.groups.biases, view.groups.zeros}) {
    files_.release(scales);
  }
}

Result<Buffer> WeightLoader::pack(ThreadPool& pool, const std::function<void(int, int)>& progress) {
  HEARTH_TRY(Buffer memory, Buffer::allocate(bytes_));
  std::byte* next = memory.data();
  int layers_done = 0;
  const int layers_total = layers();
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const Job& job = jobs_[i];
    job.matrix->data = next;
    next += job.matrix->bytes();
    pool.run([&](Worker& worker) { pack_part(job, worker); });
    const bool last_of_layer = i + 1 == jobs_.size() || jobs_[i + 1].layer != job.layer;
    if (job.layer >= 0 && last_of_layer) {
      ++layers_done;
      if (progress) progress(layers_done, layers_total);
    }
  }
  return memory;
}

}  // namespace hearth::engine
