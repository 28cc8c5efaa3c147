// RankModel for every decoder architecture: checks, memory, and the cutting of steps into passes.
#pragma once

#include <memory>
#include <vector>

#include "engine/kernels/isa.h"
#include "engine/kv/kv_cache.h"
#include "engine/machine/tuning.h"
#include "engine/models/activations.h"
#include "engine/models/architecture.h"
#include "engine/models/layer_clock.h"
#include "engine/models/pass.h"
#include "engine/models/weights.h"
#include "engine/rank_model.h"
#include "engine/tensor/thread_pool.h"

namespace hearth::engine {

class DecoderModel final : public RankModel {
 public:
  static Result<std::unique_ptr<RankModel>> load(const ModelFiles& files,
                                                 const LoadOptions& options);

  const ModelSpec& spec() const override { return spec_; }
  const Shard& shard() const override { return shard_; }
  std::span<const int> vocab_cuts() const override { return slice_.vocab_cuts; }
  std::string_view isa() const override { return isa_->name; }
  int threads() const override { return pool_->threads(); }
  int decode_threads() const override {
    return tuning_.decode_threads > 0 ? tuning_.decode_threads : threads();
  }
  std::span<const std::byte> weights() const override {
    return {weights_.memory.data(), static_cast<size_t>(weights_.memory.bytes())};
  }
  int kv_tokens() const override { return kv_->pages() * kernels::kPageTokens; }
  KvType kv_type() const override { return kv_->shape().type; }
  int sequences_max() const override { return kv_->slots(); }
  LayerTimes layer_times() const override { return clock_.times(); }

  Result<void> join(fabric::Collectives& team) override;
  Result<void> forward(const StepRows& step, std::span<const float> hidden_in,
                       std::span<float> hidden_out, std::span<float> logits) override;
  void release(int slot) override;

 private:
  DecoderModel(const ModelSpec& spec, const Shard& shard, const Slice& slice,
               const kernels::Isa* isa)
      : spec_(spec),
        shard_(shard),
        slice_(slice),
        own_spec_(spec_of(slice, spec)),
        isa_(isa),
        code_(code_of(spec.architecture)),
        clock_(shard, spec.layers) {}

  bool first() const { return shard_.first(); }
  bool last() const { return shard_.last(spec_.layers); }
  Result<void> load_weights(const ModelFiles& files, const LoadOptions& options, int64_t kv_tokens);
  Result<void> check_position(const SequenceRows& sequence) const;
  Result<void> check_sequences(const StepRows& step, int64_t* rows) const;
  Result<void> check_step(const StepRows& step, std::span<const float> hidden_in,
                          std::span<float> hidden_out, std::span<float> logits) const;

  // What one pass of a step reads and writes besides the model's own state.
  struct PassIo {
    std::span<const int32_t> tokens;
    const float* hidden_in = nullptr;
    float* hidden_out = nullptr;
    std::vector<int32_t> logit_rows;  // of the pass
    float* logits = nullptr;
  };
  void run(const PassRows& rows, const PassIo& io);
  // Whether the pass is a token's, all of it this rank's own work.
  bool is_timed(const PassRows& rows, const PassIo& io) const;
  void run_layers(std::span<Pass> passes);

  const ModelSpec spec_;
  const Shard shard_;
  const Slice slice_;
  const ModelSpec own_spec_;
  const kernels::Isa* const isa_;
  const ArchitectureCode& code_;
  Weights weights_;
  std::vector<double> rope_frequencies_;
  std::vector<double> local_rope_frequencies_;
  std::unique_ptr<KvCache> kv_;
  std::unique_ptr<RecurrentState> recurrent_;  // of models with linear layers
  Activations activations_;
  Tuning tuning_;
  LayerClock clock_;
  std::unique_ptr<Sums> sums_;  // of slices that have joined their team
  PassContext context_;
  std::unique_ptr<ThreadPool> pool_;  // last: its threads use all of the above
};

}  // namespace hearth::engine
