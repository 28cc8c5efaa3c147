#include "engine/models/activations.h"

#include <algorithm>

#include "engine/kernels/kernels.h"

namespace hearth::engine {
namespace {

using kernels::kGroup;
using kernels::kTileRows;
using kernels::round_up;

// Hands out consecutive parts of a buffer, or only counts their bytes when there is none.
class Carver {
 public:
  explicit Carver(std::byte* memory) : memory_(memory) {}

  template <class T>
  void take(T** out, int64_t count) {
    if (memory_ != nullptr) *out = reinterpret_cast<T*>(memory_ + taken_);
    taken_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
  }
  int64_t taken() const { return taken_; }

 private:
  std::byte* memory_;
  int64_t taken_ = 0;
};

void carve_tiles(Carver& carver, bool slabs, TileStorage& tiles, int64_t rows, int64_t width) {
  carver.take(&tiles.x, rows * width);
  carver.take(&tiles.xq, rows * width / 4 * kernels::kQuadBytes);
  carver.take(&tiles.xq_scales, rows * width / kGroup);
  carver.take(&tiles.xq_sums, rows * width / kernels::kHalfGroup);
  if (slabs) carver.take(&tiles.slabs, kernels::slabs_bytes(rows, width));
}

void carve_angles(Carver& carver, Activations::Angles& angles, const RopeSpec& rope) {
  carver.take(&angles.cosines, int64_t{kPassRowsMax} * rope.dimensions / 2);
  carver.take(&angles.sines, int64_t{kPassRowsMax} * rope.dimensions / 2);
}

void carve_latent(Carver& carver, const ModelSpec& spec, Activations::Latent& latent) {
  constexpr int64_t kRows = kPassRowsMax;
  const LatentAttentionSpec& dims = *spec.latent;
  const int64_t key_dim = dims.latent_dim + dims.rotary_dim;
  carver.take(&latent.query, kRows * dims.query_rank);
  carver.take(&latent.key_value, kRows * key_dim);
  carver.take(&latent.absorbed, kRows * spec.heads * key_dim);
  carver.take(&latent.mixed, kRows * spec.heads * dims.latent_dim);
}

void carve_delta(Carver& carver, const DeltaNetSpec& spec, Activations::Delta& delta) {
  constexpr int64_t kRows = kPassRowsMax;
  carver.take(&delta.q, kRows * spec.keys());
  carver.take(&delta.k, kRows * spec.keys());
  carver.take(&delta.v, kRows * spec.values());
  carver.take(&delta.z, kRows * spec.values());
  carver.take(&delta.a, kRows * spec.value_heads);
  carver.take(&delta.b, kRows * spec.value_heads);
}

void carve_mixture(Carver& carver, const ModelSpec& spec, Activations::Mixture& mixture) {
  constexpr int64_t kRows = kPassRowsMax;
  const MoeSpec& moe = *spec.moe;
  carver.take(&mixture.normed, kRows * spec.hidden);
  carver.take(&mixture.scores, kRows * moe.experts);
  carver.take(&mixture.chosen, kRows * moe.used);
  carver.take(&mixture.weights, kRows * moe.used);
  carver.take(&mixture.gate, kRows * moe.used * moe.ffn);
  carver.take(&mixture.up, kRows * moe.used * moe.ffn);
  carver.take(&mixture.out, kRows * moe.used * spec.hidden);
  carver.take(&mixture.shared_weight, kRows);
}

struct Widths {
  int64_t ffn = 0;    // of gate and up
  int64_t any = 0;    // of any input of a product, padded
  int64_t alone = 0;  // of inputs that a worker prepares for itself, padded

  explicit Widths(const ModelSpec& spec) {
    ffn = std::max(spec.ffn, spec.moe ? spec.moe->shared_ffn : 0);
    any = std::max({int64_t{spec.hidden}, int64_t{spec.heads} * spec.value_dim, ffn});
    if (spec.moe) alone = std::max(spec.hidden, spec.moe->ffn);
    if (spec.latent) {
      any = std::max<int64_t>(any, spec.latent->query_rank);
      alone = std::max<int64_t>({alone, spec.latent->nope_dim, spec.latent->latent_dim});
    }
    if (spec.delta) any = std::max<int64_t>({any, spec.delta->values(), spec.delta->key_dim});
    any = round_up(std::max(any, alone), kGroup);
    alone = round_up(alone, kGroup);
  }
  int64_t panel_bytes(const ModelSpec& spec) const {
    const int64_t floats = spec.latent ? kernels::transposed_panel_floats(spec.latent->nope_dim,
                                                                          spec.latent->latent_dim)
                                       : 0;
    return std::max(kernels::panel_bytes(any), floats * int64_t{sizeof(float)});
  }
  // Rows of the widest input that a worker's tile must hold.
  int64_t tile_rows() const {
    return std::max<int64_t>(kTileRows, (alone * kPrivateRows + any - 1) / any);
  }
};

int64_t carve(const ModelSpec& spec, const Activations::Room& room, std::byte* memory,
              Activations& a) {
  const int64_t rows = kPassRowsMax;
  const Widths widths(spec);
  Carver carver(memory);
  carver.take(&a.x, rows * spec.hidden);
  carver.take(&a.branch, rows * spec.hidden);
  carver.take(&a.q, rows * spec.heads * spec.head_dim);
  carver.take(&a.k, rows * spec.kv_heads * spec.head_dim);
  carver.take(&a.v, rows * spec.kv_heads * spec.value_dim);
  carver.take(&a.attention, rows * spec.heads * spec.value_dim);
  if (spec.attention_gate) carver.take(&a.attention_gate, rows * spec.heads * spec.value_dim);
  if (spec.qk_norm_whole) carver.take(&a.squares, rows * 2);
  carver.take(&a.gate, rows * widths.ffn);
  carver.take(&a.up, rows * widths.ffn);
  carve_angles(carver, a.angles, spec.rope);
  if (spec.local_rope) carve_angles(carver, a.local_angles, *spec.local_rope);
  if (spec.latent) carve_latent(carver, spec, a.latent);
  if (spec.delta) carve_delta(carver, *spec.delta, a.delta);
  if (spec.moe) carve_mixture(carver, spec, a.mixture);
  carve_tiles(carver, room.slabs, a.shared, rows, widths.any);
  // Of each slot's tokens the last span may have few.
  const int64_t tokens = round_up(room.kv_tokens, kernels::kPageTokens);
  const int64_t spans = tokens / kernels::kSpanTokens + room.slots;
  carver.take(&a.spans, spans * spec.heads * kernels::kv_record_floats(room.head));
  a.threads.resize(room.threads);
  for (Activations::Private& own : a.threads) {
    carver.take(&own.staging, kTileRows * widths.any);
    carver.take(&own.panel, widths.panel_bytes(spec));
    carve_tiles(carver, room.slabs, own.tile, widths.tile_rows(), widths.any);
    carver.take(&own.attention, kernels::attention_scratch_floats(room.head));
    if (!spec.moe) continue;
    carver.take(&own.order, rows * spec.moe->used);
    carver.take(&own.begins, int64_t{spec.moe->experts} + 1);
    carver.take(&own.places, rows * spec.moe->used);
    carver.take(&own.scores, spec.moe->experts);
  }
  return carver.taken();
}

}  // namespace

int64_t Activations::bytes_wanted(const ModelSpec& spec, const Room& room) {
  Activations none;
  return carve(spec, room, nullptr, none);
}

Result<Activations> Activations::create(const ModelSpec& spec, const Room& room) {
  Activations activations;
  HEARTH_TRY(activations.memory, Buffer::allocate(bytes_wanted(spec, room)));
  carve(spec, room, activations.memory.data(), activations);
  return activations;
}

}  // namespace hearth::engine
