// One rank's mathematics: its shard's weights, its KV cache, and a forward pass over a batch of
// token rows. No sockets, no scheduling: what a step is comes from runtime/.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/kv_type.h"
#include "engine/layer_times.h"
#include "engine/model_files.h"
#include "engine/shard.h"

namespace hearth::fabric {
class Collectives;
}  // namespace hearth::fabric

namespace hearth::engine {

enum class Precision {
  kDefault,  // activations may be quantised (to 15 bits) against quantised weights
  kExact,    // float32 throughout; the result does not depend on the batch it was computed in
};

// Requantisation of weights while they are loaded, for devices with little memory. Lossy, and each
// rank's own choice. Matrices whose file spends at least half a bit a weight more are rounded once
// more, to Q8_0 or to IQ4_NL; with kQ4 embedding and head to Q8_0. Routers, vectors and what has
// few bits anyway stay as they are.
enum class Quantize { kNone, kQ8, kQ4 };

struct LoadOptions {
  Shard shard;
  Precision precision = Precision::kDefault;
  Quantize quantize = Quantize::kNone;
  KvType kv = KvType::kQ16;  // as asked for: see cached_as()
  int threads = 0;           // 0: one per physical core, fewer for one row if that is faster
  int64_t kv_tokens = 0;     // room of the KV cache over all sequences; 0: one full context
  int sequences_max = 16;    // slots
  // A folder for what is measured of this machine, for the engine to choose by; empty: it chooses
  // without. Where it holds nothing of use yet, loading takes some tenths of a second longer.
  std::string cache_dir;
  // Called after each layer with layers done so far; may be empty.
  std::function<void(int layers_done, int layers_total)> progress;

  // Exact precision caches floats whatever is asked for.
  KvType cached_as() const { return precision == Precision::kExact ? KvType::kF32 : kv; }
};

// Rows of one sequence within a step: `rows` consecutive tokens at positions `position`, `position`
// + 1, ... REQUIRES: position is the number of tokens the slot already holds, or fewer (the rest is
// dropped); of a model with linear layers (ModelSpec::delta), which cannot drop some, that or 0.
struct SequenceRows {
  int slot = 0;
  int position = 0;
  int rows = 0;
};

// One forward pass. Row r of the step belongs to the sequence whose rows cover it, in order.
struct StepRows {
  std::span<const SequenceRows> sequences;
  std::span<const int32_t> tokens;  // [rows]; read by the first stage only
  std::span<const int32_t>
      logit_rows;  // rows whose logits are wanted, ascending; read by the last stage only
};

// Not thread-safe: one thread calls; the model's own worker threads share the work.
class RankModel {
 public:
  virtual ~RankModel() = default;

  // Reads and packs the shard's weights and allocates the KV cache. kResourceExhausted says how
  // much memory was wanted; kCorrupt and kNotFound name the tensor. `files` may be destroyed
  // afterwards.
  static Result<std::unique_ptr<RankModel>> load(const ModelFiles& files,
                                                 const LoadOptions& options);

  virtual const ModelSpec& spec() const = 0;
  virtual const Shard& shard() const = 0;
  // Where the slices part the vocabulary, [slices + 1]: slice i has the tokens' rows of embedding
  // and head from vocab_cuts[i] up to vocab_cuts[i + 1].
  virtual std::span<const int> vocab_cuts() const = 0;
  virtual std::string_view isa() const = 0;  // the kernels that run: "avx512"
  virtual int threads() const = 0;
  virtual int decode_threads() const = 0;  // of them, those that run a step of one row
  virtual std::span<const std::byte> weights() const = 0;  // packed, resident
  virtual int kv_tokens() const = 0;  // room over all slots, a multiple of the block size
  virtual KvType kv_type() const = 0;
  virtual int sequences_max() const = 0;

  // What was measured in the passes over one row so far. Nothing on a slice of a stage, whose
  // layers wait for others. Any thread may ask, also while forward() runs.
  virtual LayerTimes layer_times() const = 0;

  // The ranks that hold the other slices of this shard's layers, which must outlive every call of
  // forward(). Another team takes the place of one that failed. kInvalidArgument when their number
  // or this rank's place is not the shard's.
  virtual Result<void> join(fabric::Collectives& team) = 0;

  // Runs the shard's layers. The ranks of a team do so together, with the same arguments: hidden
  // states are the same on all of them, to the bit.
  //   hidden_in   [rows, hidden]  from the previous stage; empty on the first
  //   hidden_out  [rows, hidden]  for the next stage; empty on the last
  //   logits      [logit_rows, the slice's part of vocab] on the last stage; empty elsewhere
  // kInvalidArgument for a token, slot or position out of range, and for a slice that has not
  // joined its team (nothing is changed), kResourceExhausted when the KV cache has no room (nothing
  // is changed); what the team's calls return when they fail, after which slots hold nonsense.
  virtual Result<void> forward(const StepRows& step, std::span<const float> hidden_in,
                               std::span<float> hidden_out, std::span<float> logits) = 0;

  // Forgets a slot's sequence; its blocks are free at once. A slot never used is fine.
  virtual void release(int slot) = 0;
};

}  // namespace hearth::engine
