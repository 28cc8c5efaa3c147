// Products of slabs of activations with unpacked weights. Over amx/unpack.h, included first.
//
// The matrix unit adds up the products of a group of 32 columns. What has a scale for every group
// then leaves it, to be scaled and added to the totals by the vector unit, while the matrix unit is
// at work on what comes next.
#pragma once

#include "engine/kernels/amx/unpack.h"

namespace hearth::engine::kernels::amx {
namespace {

// Blocks that are unpacked together and slabs that they are multiplied with: as many as keep a
// step's tiles and sums in the first-level cache and the totals in the second.
constexpr int kBlocksMax = 4;
constexpr int kSlabsMax = 16;

// A tile of floats: rows of activations, each with an output of every row of weights.
struct alignas(64) Outputs {
  float of[kSlabRows][kBlockRows];
};

template <Form kForm>
class Product {
 public:
  using Block = Unpacked<kForm.tiles>;
  using Unpacker = void (*)(const MatmulArgs& args, const std::byte* block, int64_t first_group,
                            int groups, Block* out);

  Product(const MatmulArgs& args, Unpacker unpack)
      : args_(args), unpack_(unpack), shape_(args.rows) {}

  void run() {
    TileConfig config;
    for (int tile = 0; tile < 6; ++tile) config.rows[tile] = static_cast<uint8_t>(shape_.height);
    config.rows[6] = config.rows[7] = kSlabRows;
    tiles_configure(config);
    for (int slab = 0; slab < shape_.slabs; slab += kSlabsMax) {
      const int slabs = smaller(kSlabsMax, shape_.slabs - slab);
      for (int64_t block = args_.block_begin; block < args_.block_end; block += kBlocksMax) {
        multiply(slab, slabs, block, smaller(kBlocksMax, args_.block_end - block));
      }
    }
    tiles_release();
  }

 private:
  // One step of one or two slabs times one or two blocks; what is missing is null.
  struct Task {
    const std::byte* slabs[2] = {};  // the step's first group
    const Block* blocks[2] = {};
    Outputs* totals[2] = {};  // of each slab, with the blocks one after the other
    int groups = 0;
  };
  // What the matrix unit gave for each group, or for all where groups are summed up.
  using Sums = Outputs[kStepGroups][2][2];  // [group][slab][block]

  static int smaller(int64_t a, int64_t b) { return static_cast<int>(a < b ? a : b); }

  // Some slabs times some blocks, over all columns.
  void multiply(int first_slab, int slabs, int64_t first_block, int blocks) {
    __builtin_memset(totals_, 0, sizeof totals_[0] * slabs);
    const int64_t groups = args_.columns / kGroup;
    Ahead<1, true> ahead(args_, args_.weights + first_block * args_.block_bytes,
                         blocks * group_bytes(args_));
    for (int64_t group = 0; group < groups; group += kStepGroups) {
      const int step_groups = smaller(kStepGroups, groups - group);
      for (int g = 0; g < step_groups; ++g) ahead.fetch();
      // The blocks before are still needed for the task in flight.
      Block* unpacked = unpacked_[group / kStepGroups % 2];
      for (int b = 0; b < blocks; ++b) {
        unpack_(args_, args_.weights + (first_block + b) * args_.block_bytes, group, step_groups,
                &unpacked[b]);
      }
      for (int s = 0; s < slabs; s += 2) {
        for (int b = 0; b < blocks; b += 2) {
          Task task{.groups = step_groups};
          for (int i = 0; i < 2 && s + i < slabs; ++i) {
            task.slabs[i] = args_.slabs + slab_group_at(first_slab + s + i, args_.columns, group);
            task.totals[i] = &totals_[s + i][b];
          }
          for (int j = 0; j < 2 && b + j < blocks; ++j) task.blocks[j] = &unpacked[b + j];
          start(task);
        }
      }
    }
    start({});
    store_totals(first_slab, slabs, first_block, blocks);
  }

  // Has the matrix unit begin a task while the vector unit finishes the one before.
  void start(const Task& task) {
    if (task.groups > 0) multiply_tiles(task, sums_[turn_]);
    if (in_flight_.groups > 0) finish(in_flight_, sums_[1 - turn_]);
    in_flight_ = task;
    turn_ = 1 - turn_;
  }

  // Tile registers: 0 to 3 hold sums, of the first slab and the second with each block; 4 and 5
  // slabs; 6 and 7 blocks. The product of two low parts is below the precision of the rest.
  static void multiply_tiles(const Task& task, Sums& sums) {
    for (int g = 0; g < task.groups; ++g) {
      if (g == 0 || !kForm.summed) clear_sums();
      load_blocks(task, g, 0);
      load_slabs(task, g, kLowParts);
      add_products(task);
      load_slabs(task, g, 0);
      add_products(task);
      if constexpr (kForm.tiles == 2) {
        load_blocks(task, g, 1);
        add_products(task);
      }
      if (!kForm.summed) store_sums(task, sums[g]);
    }
    if (kForm.summed) store_sums(task, sums[0]);
  }

  HEARTH_SIMD void clear_sums() {
    tile_zero<0>();
    tile_zero<1>();
    tile_zero<2>();
    tile_zero<3>();
  }
  HEARTH_SIMD void load_slabs(const Task& task, int g, int part) {
    const int64_t at = g * kSlabGroupBytes + part;
    tile_load<4>(task.slabs[0] + at);
    if (task.slabs[1] != nullptr) tile_load<5>(task.slabs[1] + at);
  }
  HEARTH_SIMD void load_blocks(const Task& task, int g, int part) {
    tile_load<6>(task.blocks[0]->tiles[g][part]);
    if (task.blocks[1] != nullptr) tile_load<7>(task.blocks[1]->tiles[g][part]);
  }
  // Between two additions to the same sums lie three others, which hides how long one takes.
  HEARTH_SIMD void add_products(const Task& task) {
    const bool two_slabs = task.slabs[1] != nullptr;
    const bool two_blocks = task.blocks[1] != nullptr;
    tile_add_product<0, 4, 6>();
    if (two_blocks) tile_add_product<1, 4, 7>();
    if (two_slabs) tile_add_product<2, 5, 6>();
    if (two_slabs && two_blocks) tile_add_product<3, 5, 7>();
  }
  HEARTH_SIMD void store_sums(const Task& task, Outputs (&sums)[2][2]) {
    const bool two_slabs = task.slabs[1] != nullptr;
    const bool two_blocks = task.blocks[1] != nullptr;
    tile_store<0>(sums[0][0].of[0]);
    if (two_blocks) tile_store<1>(sums[0][1].of[0]);
    if (two_slabs) tile_store<2>(sums[1][0].of[0]);
    if (two_slabs && two_blocks) tile_store<3>(sums[1][1].of[0]);
  }

  void finish(const Task& task, const Sums& sums) const {
    for (int s = 0; s < 2 && task.slabs[s] != nullptr; ++s) {
      for (int b = 0; b < 2 && task.blocks[b] != nullptr; ++b) {
        if (task.groups == kStepGroups) {
          add_scaled<kStepGroups>(task, sums, s, b);
        } else {
          add_scaled<1>(task, sums, s, b);
        }
      }
    }
  }

  // totals += sums * scales + sums of the slab's rows * mins
  template <int kGroups>
  void add_scaled(const Task& task, const Sums& sums, int s, int b) const {
    constexpr int kScales = kForm.summed ? 1 : kGroups;
    constexpr int kMins = kForm.mins * kGroups;
    const Block& block = *task.blocks[b];
    F32x16 scales[kScales];
    F32x16 mins[kMins + 1];  // one more than used: there may be none
    for (int i = 0; i < kScales; ++i) scales[i] = load(block.scales[i]);
    for (int i = 0; i < kMins; ++i) mins[i] = load(block.mins[i]);
    Outputs& totals = task.totals[s][b];
    for (int row = 0; row < shape_.height; ++row) {
      F32x16 total = load(totals.of[row]);
      for (int i = 0; i < kScales; ++i) {
        total = fma(load(sums[i][s][b].of[row]), scales[i], total);
      }
      for (int i = 0; i < kMins; ++i) {
        total = fma(set1(slab_sums(task.slabs[s], i)[row]), mins[i], total);
      }
      avx512::store(totals.of[row], total);
    }
  }
  // The rows' sums that a step's min number i is multiplied with.
  HEARTH_SIMD const float* slab_sums(const std::byte* slab, int i) {
    const int group = kForm.mins == 2 ? i / 2 : i;
    const int part = kForm.mins == 2 ? i % 2 : 2;
    return reinterpret_cast<const float*>(slab + group * kSlabGroupBytes + kSums) +
           part * kSlabRows;
  }

  void store_totals(int first_slab, int slabs, int64_t first_block, int blocks) const {
    for (int s = 0; s < slabs; ++s) {
      const int row = (first_slab + s) * shape_.height;
      const int rows = smaller(shape_.height, args_.rows - row);
      for (int b = 0; b < blocks; ++b) {
        const int64_t column = (first_block + b) * kBlockRows;
        const int64_t lanes = args_.out_columns - column;
        float* out = args_.out + row * args_.out_stride + column;
        for (int i = 0; i < rows; ++i, out += args_.out_stride) {
          const F32x16 total = load(totals_[s][b].of[i]);
          store_first(out, args_.add ? add(load_first(out, lanes), total) : total, lanes);
        }
      }
    }
  }

  const MatmulArgs& args_;
  const Unpacker unpack_;
  const SlabShape shape_;
  Task in_flight_;
  int turn_ = 0;
  Sums sums_[2];
  Block unpacked_[2][kBlocksMax];
  Outputs totals_[kSlabsMax][kBlocksMax];
};

}  // namespace
}  // namespace hearth::engine::kernels::amx
