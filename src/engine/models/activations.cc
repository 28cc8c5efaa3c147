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

void carve_tiles(Carver& carver, TileStorage& tiles, int64_t rows, int64_t width) {
  carver.take(&tiles.x, rows * width);
  carver.take(&tiles.xq, rows * width / 4 * kernels::kQuadBytes);
  carver.take(&tiles.xq_scales, rows * width / kGroup);
  carver.take(&tiles.xq_sums, rows * width / kernels::kHalfGroup);
}

int64_t carve(const ModelSpec& spec, int threads, std::byte* memory, Activations& a) {
  const int64_t rows = kPassRowsMax;
  const int64_t query = int64_t{spec.heads} * spec.head_dim;
  const int64_t key = int64_t{spec.kv_heads} * spec.head_dim;
  const int64_t widest =
      round_up(std::max({int64_t{spec.hidden}, query, int64_t{spec.ffn}}), kGroup);
  Carver carver(memory);
  carver.take(&a.x, rows * spec.hidden);
  carver.take(&a.q, rows * query);
  carver.take(&a.k, rows * key);
  carver.take(&a.v, rows * key);
  carver.take(&a.attention, rows * query);
  carver.take(&a.gate, rows * spec.ffn);
  carver.take(&a.up, rows * spec.ffn);
  carver.take(&a.cosines, rows * spec.head_dim / 2);
  carver.take(&a.sines, rows * spec.head_dim / 2);
  carve_tiles(carver, a.shared, rows, widest);
  a.threads.resize(threads);
  for (Activations::Private& own : a.threads) {
    carver.take(&own.normed, int64_t{kTileRows} * spec.hidden);
    carve_tiles(carver, own.tile, kTileRows, widest);
  }
  return carver.taken();
}

}  // namespace

int64_t Activations::bytes_wanted(const ModelSpec& spec, int threads) {
  Activations none;
  return carve(spec, threads, nullptr, none);
}

Result<Activations> Activations::create(const ModelSpec& spec, int threads) {
  Activations activations;
  HEARTH_TRY(activations.memory, Buffer::allocate(bytes_wanted(spec, threads)));
  carve(spec, threads, activations.memory.data(), activations);
  return activations;
}

}  // namespace hearth::engine
