#include "engine/models/weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>

#include "engine/formats/encoding.h"
#include "engine/tensor/decode.h"
#include "engine/tensor/requantize.h"

namespace hearth::engine {
namespace {

// Drops the pages that lie wholly inside the bytes from this process (the system's cache keeps
// them): without it, a loaded model would be resident twice until its files are closed.
void drop_pages(std::span<const std::byte> bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

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
                      .bytes = stored_bytes(view) * columns / view.columns,
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
  HEARTH_RETURN_IF_ERROR(vector(name, size, out));
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
  const TensorView chosen = view.select(choice.first, choice.count, choice.step, choice.run);
  note(name, chosen, columns);
  const Encoding encoding = packed_encoding(chosen, quantize_of(name, quantize_));
  const bool requantise = encoding != chosen.encoding;
  TensorView packed = chosen;
  if (requantise) packed = {.encoding = encoding, .rows = chosen.rows, .columns = columns};
  *out = PackedMatrix(packed);
  add_job(chosen, std::nullopt, requantise, out);
  return {};
}

Result<void> WeightLoader::transposed(const std::string& name, int64_t rows, int64_t columns,
                                      Choice inputs, Choice outputs, PackedMatrix* out) {
  HEARTH_TRY(const TensorView view, find(name, rows, columns));
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

Result<void> WeightLoader::expert(const std::string& prefix, const std::string& name, int number,
                                  int experts, int64_t rows, int64_t columns, PackedMatrix* out) {
  const std::string own = prefix + std::to_string(number) + "." + name;
  if (has(own)) return matrix(own, rows, columns, out);
  return part(prefix + name, rows * experts, columns, {.first = rows * number, .count = rows}, out);
}

void WeightLoader::add_job(const TensorView& view, std::optional<Choice> transposed,
                           bool requantise, PackedMatrix* out) {
  bytes_ += out->bytes();
  jobs_.push_back({view, out, transposed, layer_, requantise});
}

int WeightLoader::layers() const {
  std::set<int> layers;
  for (const Job& job : jobs_) {
    if (job.layer >= 0) layers.insert(job.layer);
  }
  return static_cast<int>(layers.size());
}

std::vector<Encoding> WeightLoader::encodings() const {
  std::map<Encoding, int64_t> bytes;
  for (const Job& job : jobs_) bytes[job.matrix->encoding] += job.matrix->bytes();
  std::vector<Encoding> encodings;
  for (const auto& entry : bytes) encodings.push_back(entry.first);
  std::ranges::sort(encodings, [&](Encoding a, Encoding b) { return bytes[a] > bytes[b]; });
  return encodings;
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
    // The thread that packs a block is mostly the one that will multiply with it.
    pool.run([&](Worker& worker) {
      if (job.transposed) {
        const Range range = worker.part(job.view.rows);
        pack_transposed(job.view, *job.transposed, *job.matrix, range.begin, range.end);
      } else {
        const Range range = worker.part(job.matrix->blocks());
        const auto pack = job.requantise ? requantize_blocks : pack_blocks;
        pack(job.view, *job.matrix, range.begin, range.end);
      }
    });
    drop_pages(view_bytes(job.view));
    const bool last_of_layer = i + 1 == jobs_.size() || jobs_[i + 1].layer != job.layer;
    if (job.layer >= 0 && last_of_layer) {
      ++layers_done;
      if (progress) progress(layers_done, layers_total);
    }
  }
  return memory;
}

}  // namespace hearth::engine
