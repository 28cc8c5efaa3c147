// A model as it lies on disk: a .gguf file or a Hugging Face directory, opened, checked, not yet
// loaded. Start here to load a model; then Tokenizer (tokenizer.h) and RankModel (rank_model.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/model_spec.h"
#include "engine/shard.h"

namespace hearth::engine {

struct ColumnUnits;  // models/slice.h

// How a tensor's numbers are stored in the file. Block layouts: docs/formats.md. The order indexes
// kernels::kLayouts.
enum class Encoding {
  kF32,
  kF16,
  kBF16,
  // GGUF's blocks, which hold their own scales.
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  // Safetensors', whose scales are tensors of their own (GroupScales).
  kF8_E4M3,
  kInt2,  // unsigned integers of so many bits, one after another from the lowest bit of a row on
  kInt3,
  kInt4,
  kInt5,
  kInt6,
  kInt8,
  kMXFP4Split,  // as kMXFP4, with the scales apart and neighbours in one byte
};

// "F32", "Q4_0", "INT4", ...
std::string_view to_string(Encoding encoding);
// Numbers per block (1 for floats, 32 for Q8_0 and INT4, 256 for Q6_K) and bytes per block.
int block_elements(Encoding encoding);
int block_bytes(Encoding encoding);
// Whether a tensor of this encoding needs GroupScales.
bool has_group_scales(Encoding encoding);

// The scales of a tensor that keeps them apart. Each belongs to `rows` x `columns` neighbouring
// numbers of the tensor, counted from its first row (not the view's); scales are row-major,
// [ceil(tensor rows / rows), ceil(tensor columns / columns)]. A number q of the tensor means
//   F8_E4M3   scale * q
//   INTb      scale * q + bias with `biases`; scale * (q - z) with `zeros`, else with z = 2^(b - 1)
//   MXFP4     2^(scale - 127) * q; `scales` are bytes (E8M0), of 1 x 32 numbers each
struct GroupScales {
  Encoding type = Encoding::kF32;  // of scales and biases: kF32, kF16 or kBF16
  int64_t rows = 1;
  int64_t columns = 0;  // a multiple of 32, or at least the tensor's columns
  std::span<const std::byte> scales;
  std::span<const std::byte> biases;  // the scales' shape
  // Unsigned integers as wide as the numbers (b of 2, 4 or 8, rows == 1): row r's is in bits
  // (r mod 32/b) * b and up of the little-endian 32-bit word [r / (32/b), group].
  std::span<const std::byte> zeros;
};

// A matrix inside a file that is mapped read-only. Row-major, `rows` x `columns`; a vector has rows
// == 1. It may be some of the rows of a tensor that holds several matrices (tensor_row), and some
// of their columns. Valid
// while the ModelFiles it came from lives.
struct TensorView {
  Encoding encoding = Encoding::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  std::span<const std::byte> bytes;  // of the whole tensor; not necessarily aligned
  int64_t first_row = 0;
  int64_t row_step = 1;
  int64_t row_run = 1;
  GroupScales groups;  // where has_group_scales(encoding)
  int64_t first_column = 0;
  int64_t tensor_columns = 0;  // 0: as many as the view's

  // Where row r of the view is in the tensor: runs of neighbours, `row_step` from one to the next.
  int64_t tensor_row(int64_t r) const { return first_row + r / row_run * row_step + r % row_run; }

  // `count` of the view's rows: runs of `run` neighbours at every `step`-th row from `first` on.
  // REQUIRES: they are in the view, and run is 1 unless the view is of a whole tensor.
  TensorView select(int64_t first, int64_t count, int64_t step = 1, int64_t run = 1) const;

  // `count` neighbouring columns of the view. REQUIRES: they are in the view, and begin at a
  // multiple of column_unit() (formats/encoding.h) of the tensor.
  TensorView select_columns(int64_t first, int64_t count) const;

  // Columns of the tensor's rows.
  int64_t row_columns() const { return tensor_columns > 0 ? tensor_columns : columns; }
};

// A part of a file that the model's graph computes with.
struct ModelTensor {
  static constexpr int kEmbedding = -1;  // in `layer`: with layer 0's stage
  static constexpr int kHead = -2;       // in `layer`: with the last layer's stage

  std::string name;
  Encoding encoding = Encoding::kF32;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t bytes = 0;  // in the file
  int layer = 0;
};

// Immutable and thread-safe once open. Files are memory-mapped; a page is read when it is touched,
// so a rank that asks only for its own tensors reads only its own bytes.
class ModelFiles {
 public:
  virtual ~ModelFiles() = default;

  // `path`: a .gguf file or a directory with config.json and *.safetensors. kNotFound, kUnsupported
  // (an architecture or encoding this build does not know, named) or kCorrupt (file, offset or key,
  // and what was expected). Every offset and size is checked against the file before use.
  static Result<std::unique_ptr<ModelFiles>> open(const std::string& path);

  // kCorrupt if a file lost bytes that were read since it was opened: they read as zero. Whoever
  // has copied tensors asks before using them.
  virtual Result<void> check_intact() const = 0;

  // Takes the bytes of a tensor out of this process' memory until they are read again: without it,
  // a loaded model would be resident twice until its files are closed.
  virtual void release(std::span<const std::byte> bytes) const = 0;

  virtual const ModelSpec& spec() const = 0;
  virtual const std::string& path() const = 0;

  // Tensor names are Hugging Face's ("model.layers.0.self_attn.q_proj.weight") whatever the file's
  // format. kNotFound names tensor and file.
  virtual Result<TensorView> tensor(std::string_view name) const = 0;
  virtual bool has_tensor(std::string_view name) const = 0;

  // All that the graph reads, in the order of the forward pass. A tied head is not listed; a tensor
  // of which parts are used apart (fused projections, stacked experts) is listed part by part.
  virtual const std::vector<ModelTensor>& tensors() const = 0;
  // At multiples of how many columns matrices may be cut, in all layers.
  virtual const ColumnUnits& column_units() const = 0;
  // Bytes in the file of all tensors of `shard`, of its slice alone (embedding and head included
  // where the shard holds them).
  virtual int64_t shard_bytes(const Shard& shard) const = 0;
  // The encoding most of the weights have: "BF16", "Q4_0".
  virtual std::string main_encoding() const = 0;

  // The Jinja chat template, empty if the model has none, and the text of the special tokens it may
  // name.
  virtual std::string chat_template() const = 0;
  virtual std::string bos_token() const = 0;
  virtual std::string eos_token() const = 0;
};

}  // namespace hearth::engine
