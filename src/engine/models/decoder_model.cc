#include "engine/models/decoder_model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/units.h"
#include "engine/models/layers.h"
#include "engine/models/rope.h"

namespace hearth::engine {
namespace {

constexpr int kSlotsMax = 1 << 16;

// From so many rows on, slow sums of one half are made while the other computes. Each half reads
// and unpacks all weights, so it must have enough rows for that not to matter; fast sums take less
// time than that.
constexpr int kOverlapRowsMin = 64;

Error invalid(std::string message) { return Error(Code::kInvalidArgument, std::move(message)); }

Result<void> check_options(const ModelSpec& spec, const LoadOptions& options) {
  const Shard& shard = options.shard;
  if (shard.layer_begin < 0 || shard.layer_begin >= shard.layer_end ||
      shard.layer_end > spec.layers) {
    return invalid("layers " + std::to_string(shard.layer_begin) + " to " +
                   std::to_string(shard.layer_end) + " are not a part of the model's " +
                   std::to_string(spec.layers));
  }
  const auto positive = [](double share) { return share > 0 && std::isfinite(share); };
  if (shard.slice < 0 || shard.slice >= shard.slices() || shard.slices() > limits::kRanksMax ||
      !std::all_of(shard.shares.begin(), shard.shares.end(), positive)) {
    return invalid("slice " + std::to_string(shard.slice) + " of " +
                   std::to_string(shard.slices()) +
                   ": slices are counted from 0, and shares are positive numbers");
  }
  if (options.threads < 0 || options.threads > ThreadPool::kThreadsMax) {
    return invalid("a model cannot run on " + std::to_string(options.threads) + " threads");
  }
  if (options.sequences_max < 1 || options.sequences_max > kSlotsMax) {
    return invalid("a model cannot hold " + std::to_string(options.sequences_max) + " sequences");
  }
  if (options.kv_tokens < 0 || options.kv_tokens > std::numeric_limits<int>::max() / 2) {
    return invalid("a KV cache cannot hold " + std::to_string(options.kv_tokens) + " tokens");
  }
  const int head_dim =
      spec.latent ? spec.latent->latent_dim + spec.latent->rotary_dim : spec.head_dim;
  if (head_dim > kernels::kHeadDimMax || spec.value_dim > kernels::kHeadDimMax) {
    return Error(Code::kUnsupported, "heads of " + std::to_string(head_dim) +
                                         " dimensions; the kernels take up to " +
                                         std::to_string(kernels::kHeadDimMax));
  }
  return {};
}

// What the shard needs, in bytes.
struct Needs {
  int64_t weights = 0;
  int64_t kv = 0;
  int64_t states = 0;
  int64_t activations = 0;
};

Result<void> check_memory(const Needs& needs, int64_t kv_tokens, int slots) {
  const int64_t wanted = needs.weights + needs.kv + needs.states + needs.activations;
  const int64_t available = available_memory();
  if (wanted <= available) return {};
  const std::string states = needs.states == 0 ? ""
                                               : ", " + format_bytes(needs.states) + " states of " +
                                                     std::to_string(slots) + " sequences";
  return Error(Code::kResourceExhausted, "the shard needs " + format_bytes(wanted) + " (" +
                                             format_bytes(needs.weights) + " weights, " +
                                             format_bytes(needs.kv) + " KV cache of " +
                                             std::to_string(kv_tokens) + " tokens" + states + ", " +
                                             format_bytes(needs.activations) + " work space) and " +
                                             format_bytes(available) + " are available");
}

int linear_layers(const ModelSpec& spec, const Shard& shard) {
  int count = 0;
  for (int layer = shard.layer_begin; layer < shard.layer_end; ++layer) {
    count += spec.linear(layer) ? 1 : 0;
  }
  return count;
}

// Exact precision multiplies floats.
const kernels::SlabKernels* slabs_for(const kernels::Isa& isa, Precision precision) {
  return precision == Precision::kExact ? nullptr : isa.slabs;
}

}  // namespace

Result<std::unique_ptr<RankModel>> RankModel::load(const ModelFiles& files,
                                                   const LoadOptions& options) {
  return DecoderModel::load(files, options);
}

Result<std::unique_ptr<RankModel>> DecoderModel::load(const ModelFiles& files,
                                                      const LoadOptions& options) {
  const ModelSpec& spec = files.spec();
  HEARTH_RETURN_IF_ERROR(check_options(spec, options));
  HEARTH_TRY(const kernels::Isa* isa, kernels::choose_isa());
  const Slice slice = Slice::create(spec, files.column_units(), options.shard);
  std::unique_ptr<DecoderModel> model(new DecoderModel(spec, options.shard, slice, isa));

  const int threads = options.threads > 0 ? options.threads : physical_cores();
  HEARTH_TRY(model->pool_, ThreadPool::create(threads));
  const int64_t kv_tokens = options.kv_tokens > 0 ? options.kv_tokens : spec.context;
  HEARTH_RETURN_IF_ERROR(model->load_weights(files, options, kv_tokens));

  const int64_t capacity = std::min<int64_t>(spec.context, kv_tokens);
  model->rope_frequencies_ = rope_frequencies(spec.rope, capacity);
  if (spec.local_rope) {
    model->local_rope_frequencies_ = rope_frequencies(*spec.local_rope, capacity);
  }
  const kernels::SlabKernels* slabs = slabs_for(*isa, options.precision);
  HEARTH_TRY(model->activations_,
             Activations::create(model->own_spec_, {.threads = threads,
                                                    .head = model->kv_->shape().head,
                                                    .kv_tokens = kv_tokens,
                                                    .slots = options.sequences_max,
                                                    .slabs = slabs != nullptr}));
  model->context_ = {.model = &model->spec_,
                     .spec = &model->own_spec_,
                     .slice = &model->slice_,
                     .first_layer = options.shard.layer_begin,
                     .kernels = isa->kernels,
                     .slabs = slabs,
                     .tuning = &model->tuning_,
                     .precision = options.precision,
                     .rope_frequencies = model->rope_frequencies_,
                     .local_rope_frequencies = model->local_rope_frequencies_,
                     .kv = model->kv_.get(),
                     .recurrent = model->recurrent_.get(),
                     .activations = &model->activations_};
  return std::unique_ptr<RankModel>(std::move(model));
}

Result<void> DecoderModel::load_weights(const ModelFiles& files, const LoadOptions& options,
                                        int64_t kv_tokens) {
  WeightLoader loader(files, slice_, options.quantize);
  HEARTH_RETURN_IF_ERROR(collect_weights(loader, spec_, shard_, weights_));
  tuning_ = tune(options.cache_dir, *pool_, *isa_, loader.encodings());
  const KvShape shape = kv_shape(own_spec_, options);
  const int slots = options.sequences_max;
  const int linear = linear_layers(spec_, shard_);
  const bool slabs = slabs_for(*isa_, options.precision) != nullptr;
  const Needs needs{
      .weights = loader.bytes(),
      .kv = kv_cache_bytes(own_spec_, options),
      .states = spec_.delta ? RecurrentState::bytes_wanted(*own_spec_.delta, linear, slots) : 0,
      .activations = Activations::bytes_wanted(own_spec_, {.threads = threads(),
                                                           .head = shape.head,
                                                           .kv_tokens = kv_tokens,
                                                           .slots = slots,
                                                           .slabs = slabs})};
  HEARTH_RETURN_IF_ERROR(check_memory(needs, kv_tokens, slots));
  HEARTH_TRY(KvCache kv, KvCache::create(shape, kv_tokens, slots, kPassRowsMax));
  kv_ = std::make_unique<KvCache>(std::move(kv));
  if (spec_.delta) {
    HEARTH_TRY(RecurrentState states, RecurrentState::create(*own_spec_.delta, linear, slots));
    recurrent_ = std::make_unique<RecurrentState>(std::move(states));
  }
  HEARTH_TRY(weights_.memory, loader.pack(*pool_, options.progress));
  HEARTH_RETURN_IF_ERROR(files.check_intact());
  if (last() && first() && spec_.tied_embedding) weights_.head = weights_.embedding;
  return {};
}

Result<void> DecoderModel::check_position(const SequenceRows& sequence) const {
  const int held = kv_->length(sequence.slot);
  const int earliest = spec_.delta ? held : kv_->earliest_position(sequence.slot);
  const auto refuse = [&](const std::string& why) {
    return invalid("position " + std::to_string(sequence.position) + " of slot " +
                   std::to_string(sequence.slot) + why);
  };
  if (sequence.position < 0 || sequence.position > held) {
    return refuse(", which holds " + std::to_string(held) + " tokens");
  }
  if (sequence.position > 0 && sequence.position < earliest) {
    return refuse(spec_.delta ? ": its linear layers cannot go back from " + std::to_string(held)
                              : ": its window layers have forgotten what precedes " +
                                    std::to_string(earliest));
  }
  const int64_t end = int64_t{sequence.position} + sequence.rows;
  if (end <= spec_.context) return {};
  return invalid("a sequence of " + std::to_string(end) + " tokens exceeds the context of " +
                 std::to_string(spec_.context));
}

Result<void> DecoderModel::check_sequences(const StepRows& step, int64_t* rows) const {
  std::vector<bool> seen(kv_->slots());
  *rows = 0;
  for (const SequenceRows& sequence : step.sequences) {
    const int slot = sequence.slot;
    if (slot < 0 || slot >= kv_->slots()) {
      return invalid("slot " + std::to_string(slot) + " of " + std::to_string(kv_->slots()));
    }
    if (seen[slot]) return invalid("slot " + std::to_string(slot) + " occurs twice in a step");
    seen[slot] = true;
    if (sequence.rows < 1) {
      return invalid("slot " + std::to_string(slot) + " has " + std::to_string(sequence.rows) +
                     " rows");
    }
    HEARTH_RETURN_IF_ERROR(check_position(sequence));
    *rows += sequence.rows;
  }
  if (*rows == 0) return invalid("a step without rows");
  return {};
}

Result<void> DecoderModel::check_step(const StepRows& step, std::span<const float> hidden_in,
                                      std::span<float> hidden_out, std::span<float> logits) const {
  int64_t rows = 0;
  HEARTH_RETURN_IF_ERROR(check_sequences(step, &rows));
  const auto check_size = [](const char* what, size_t size, int64_t wanted) -> Result<void> {
    if (static_cast<int64_t>(size) == wanted) return {};
    return invalid(std::string(what) + " has " + std::to_string(size) + " numbers, expected " +
                   std::to_string(wanted));
  };
  const int64_t hidden = rows * spec_.hidden;
  HEARTH_RETURN_IF_ERROR(check_size("hidden_in", hidden_in.size(), first() ? 0 : hidden));
  HEARTH_RETURN_IF_ERROR(check_size("hidden_out", hidden_out.size(), last() ? 0 : hidden));
  const auto logit_rows = last() ? static_cast<int64_t>(step.logit_rows.size()) : 0;
  HEARTH_RETURN_IF_ERROR(check_size("logits", logits.size(), logit_rows * slice_.vocab.size()));
  if (first()) {
    HEARTH_RETURN_IF_ERROR(check_size("tokens", step.tokens.size(), rows));
    for (const int32_t token : step.tokens) {
      if (token < 0 || token >= spec_.vocab) {
        return invalid("token " + std::to_string(token) + " of a vocabulary of " +
                       std::to_string(spec_.vocab));
      }
    }
  }
  int64_t previous = -1;
  for (int64_t i = 0; i < logit_rows; ++i) {
    const int32_t row = step.logit_rows[i];
    if (row <= previous || row >= rows) {
      return invalid("logit row " + std::to_string(row) + " after " + std::to_string(previous) +
                     " in a step of " + std::to_string(rows));
    }
    previous = row;
  }
  return {};
}

Result<void> DecoderModel::join(fabric::Collectives& team) {
  if (team.size() != slice_.count || team.rank() != slice_.index) {
    return invalid("slice " + std::to_string(slice_.index) + " of " + std::to_string(slice_.count) +
                   " is not rank " + std::to_string(team.rank()) + " of a team of " +
                   std::to_string(team.size()));
  }
  sums_ = std::make_unique<Sums>(team);
  context_.sums = sums_.get();
  return {};
}

Result<void> DecoderModel::forward(const StepRows& step, std::span<const float> hidden_in,
                                   std::span<float> hidden_out, std::span<float> logits) {
  HEARTH_RETURN_IF_ERROR(check_step(step, hidden_in, hidden_out, logits));
  if (!slice_.alone() && sums_ == nullptr) {
    return invalid("slice " + std::to_string(slice_.index) + " of " + std::to_string(slice_.count) +
                   " has not joined the others");
  }
  HEARTH_RETURN_IF_ERROR(kv_->reserve(step.sequences));

  const std::span<const int32_t> logit_rows = last() ? step.logit_rows : std::span<const int32_t>();
  size_t next_logit = 0;
  int64_t first_row = 0;  // of the pass, in the step
  PassRows rows;
  const auto run_pass = [&] {
    PassIo io;
    if (first()) io.tokens = step.tokens.subspan(first_row, rows.rows);
    if (!first()) io.hidden_in = hidden_in.data() + first_row * spec_.hidden;
    if (!last()) io.hidden_out = hidden_out.data() + first_row * spec_.hidden;
    io.logits = logits.data() + next_logit * static_cast<size_t>(slice_.vocab.size());
    for (; next_logit < logit_rows.size(); ++next_logit) {
      const int64_t row = logit_rows[next_logit] - first_row;
      if (row >= rows.rows) break;
      io.logit_rows.push_back(static_cast<int32_t>(row));
    }
    for (const Segment& s : rows.segments) kv_->begin_pass({s.slot, s.position, s.rows});
    run(rows, io);
    for (const Segment& s : rows.segments) kv_->end_pass({s.slot, s.position, s.rows});
    first_row += rows.rows;
    rows = {};
  };
  for (const SequenceRows& sequence : step.sequences) {
    for (int done = 0; done < sequence.rows;) {
      const int count = std::min(sequence.rows - done, kPassRowsMax - rows.rows);
      rows.segments.push_back({.slot = sequence.slot,
                               .position = sequence.position + done,
                               .rows = count,
                               .first_row = rows.rows});
      rows.rows += count;
      done += count;
      if (rows.rows == kPassRowsMax) run_pass();
    }
  }
  if (rows.rows > 0) run_pass();
  return sums_ == nullptr ? Result<void>() : sums_->status();
}

void DecoderModel::run_layers(std::span<Pass> passes) {
  for (int i = 0; i < shard_.layers(); ++i) {
    for (Pass& pass : passes) {
      pass.settle();
      code_.attention(pass, weights_.layers[i], i);
    }
    for (Pass& pass : passes) {
      pass.settle();
      code_.feed_forward(pass, weights_.layers[i]);
    }
    if (passes.front().worker() == 0) clock_.lap();
  }
  for (Pass& pass : passes) pass.settle();
}

void DecoderModel::run(const PassRows& rows, const PassIo& io) {
  const bool overlaps = !slice_.alone() && sums_->are_slow() && rows.rows >= kOverlapRowsMin;
  const std::vector<PassRows> parts = overlaps ? in_two(rows) : std::vector<PassRows>{rows};
  const auto body = [&](Worker& worker) {
    Pass pass(context_, rows, worker);
    if (first()) {
      pass.embed(weights_.embedding, io.tokens);
    } else {
      pass.copy(io.hidden_in, activations_.x, spec_.hidden);
    }
    pass.prepare_rope();
    pass.barrier();
    if (first()) pass.all_reduce(activations_.x, int64_t{rows.rows} * spec_.hidden);
    if (worker.index() == 0) clock_.lap();

    std::vector<Pass> passes;
    for (const PassRows& part : parts) passes.emplace_back(context_, part, worker);
    run_layers(passes);

    if (!last()) {
      pass.copy(activations_.x, io.hidden_out, spec_.hidden);
    } else if (!io.logit_rows.empty()) {
      const Tiles h = pass.normed_tiles(activations_.x, weights_.final_norm, spec_.norm_epsilon,
                                        {&weights_.head}, io.logit_rows);
      pass.multiply(h, {{.matrix = &weights_.head, .out = io.logits}});
    }
  };
  if (is_timed(rows, io)) clock_.begin();
  pool_->run(body, rows.rows == 1 ? decode_threads() : threads());
  clock_.end();
}

bool DecoderModel::is_timed(const PassRows& rows, const PassIo& io) const {
  return slice_.alone() && rows.rows == 1 && (!last() || !io.logit_rows.empty());
}

void DecoderModel::release(int slot) {
  if (slot >= 0 && slot < kv_->slots()) kv_->release(slot);
}

}  // namespace hearth::engine
