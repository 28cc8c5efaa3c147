#include "engine/models/weights.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "engine/tensor/decode.h"
#include "engine/tensor/requantize.h"

namespace hearth::engine {
namespace {

// Drops the pages that lie wholly inside the tensor from this process (the system's cache keeps
// them): without it, a loaded model would be resident twice until its files are closed.
void drop_pages(const TensorView& view) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(view.bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<uintptr_t>(view.bytes.data() + view.bytes.size()) / page * page;
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
  HEARTH_TRY(const TensorView view, files_.tensor(name));
  if (view.rows != rows || view.columns != columns) {
    return Error(Code::kCorrupt, files_.path() + ": tensor " + name + " is " +
                                     shape_text(view.rows, view.columns) + ", expected " +
                                     shape_text(rows, columns));
  }
  return view;
}

Result<void> WeightLoader::vector(const std::string& name, int64_t size, std::vector<float>* out) {
  HEARTH_TRY(const TensorView view, find(name, 1, size));
  out->resize(size);
  decode_tensor(view, out->data());
  return {};
}

Result<void> WeightLoader::matrix(const std::string& name, int64_t rows, int64_t columns,
                                  PackedMatrix* out) {
  HEARTH_TRY(const TensorView view, find(name, rows, columns));
  const Encoding encoding = packed_encoding(view, quantize_of(name, quantize_));
  const bool requantise = encoding != view.encoding;
  *out = PackedMatrix(
      requantise ? TensorView{.encoding = encoding, .rows = rows, .columns = columns} : view);
  bytes_ += out->bytes();
  jobs_.push_back({view, out, requantise});
  return {};
}

Result<Buffer> WeightLoader::pack(ThreadPool& pool, const std::function<void(int, int)>& progress) {
  HEARTH_TRY(Buffer memory, Buffer::allocate(bytes_));
  std::byte* next = memory.data();
  size_t layers_done = 0;
  for (size_t i = 0; i < jobs_.size(); ++i) {
    const Job& job = jobs_[i];
    job.matrix->data = next;
    next += job.matrix->bytes();
    // The thread that packs a block is mostly the one that will multiply with it.
    pool.run([&](Worker& worker) {
      const Range range = worker.part(job.matrix->blocks());
      const auto pack = job.requantise ? requantize_blocks : pack_blocks;
      pack(job.view, *job.matrix, range.begin, range.end);
    });
    drop_pages(job.view);
    if (layers_done < layer_ends_.size() && layer_ends_[layers_done] == i + 1) {
      ++layers_done;
      if (progress) progress(static_cast<int>(layers_done), static_cast<int>(layer_ends_.size()));
    }
  }
  return memory;
}

}  // namespace hearth::engine
