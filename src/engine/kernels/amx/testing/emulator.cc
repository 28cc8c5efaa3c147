#include "engine/kernels/amx/testing/emulator.h"

#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "engine/kernels/isa.h"
#include "engine/kernels/numbers.h"

namespace hearth::engine::kernels {
namespace {

constexpr int kTiles = 8;
constexpr int kRowsMax = 16;
constexpr int kRowBytes = 64;

// What LDTILECFG reads and STTILECFG writes.
struct TileConfig {
  uint8_t palette = 0;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileConfig) == 64);

struct Tile {
  std::byte rows[kRowsMax][kRowBytes] = {};
};

struct TileState {
  TileConfig config;
  Tile tiles[kTiles] = {};
};
constinit thread_local TileState state;

std::atomic<int64_t> emulated_count{0};

// Only what a signal handler may call.
[[noreturn]] void refuse(std::string_view reason) {
  constexpr std::string_view kPrefix = "AMX emulation: ";
  (void)!::write(STDERR_FILENO, kPrefix.data(), kPrefix.size());
  (void)!::write(STDERR_FILENO, reason.data(), reason.size());
  (void)!::write(STDERR_FILENO, "\n", 1);
  std::abort();
}

bool is_valid(const TileConfig& config) {
  for (const uint8_t byte : config.reserved) {
    if (byte != 0) return false;
  }
  for (int i = 0; i < 16; ++i) {
    if (config.rows[i] > kRowsMax || config.row_bytes[i] > kRowBytes) return false;
    if ((config.rows[i] == 0) != (config.row_bytes[i] == 0)) return false;
    if (i >= kTiles && config.rows[i] != 0) return false;
  }
  return true;
}

void load_config(const std::byte* from) {
  TileConfig config;
  std::memcpy(&config, from, sizeof config);
  if (config.palette > 1) refuse("LDTILECFG of an unknown palette");
  if (config.palette == 1 && !is_valid(config)) refuse("LDTILECFG of an invalid configuration");
  state = {};
  if (config.palette == 1) state.config = config;
}

int rows_of(int tile) {
  if (state.config.palette == 0) refuse("tiles are not configured");
  if (state.config.rows[tile] == 0) refuse("a tile is not configured");
  return state.config.rows[tile];
}
int row_bytes_of(int tile) { return state.config.row_bytes[tile]; }

void load_tile(int tile, const std::byte* from, int64_t stride) {
  const int rows = rows_of(tile);
  state.tiles[tile] = {};
  for (int i = 0; i < rows; ++i) {
    std::memcpy(state.tiles[tile].rows[i], from + i * stride, row_bytes_of(tile));
  }
}

void store_tile(int tile, std::byte* to, int64_t stride) {
  const int rows = rows_of(tile);
  for (int i = 0; i < rows; ++i) {
    std::memcpy(to + i * stride, state.tiles[tile].rows[i], row_bytes_of(tile));
  }
}

// Subnormal numbers count as zeros, both as operands and as results.
float flushed(float x) { return std::fabs(x) < FLT_MIN ? std::copysign(0.0f, x) : x; }

float bf16_at(const std::byte* at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof half);
  return flushed(from_bf16(half));
}

float float_at(const std::byte* at) {
  float value;
  std::memcpy(&value, at, sizeof value);
  return flushed(value);
}

// a * b + c, rounded once to nearest even: the product of two bfloat16 is exact in double, and
// rounding a sum of such numbers to double before float changes nothing.
float multiply_add(float a, float b, float c) {
  return flushed(static_cast<float>(static_cast<double>(a) * b + c));
}

// A tile of pairs of bfloat16, the first and the second of each apart.
struct Pairs {
  float even[kRowsMax][kRowBytes / 4];
  float odd[kRowsMax][kRowBytes / 4];

  Pairs(const Tile& tile, int rows, int columns) : even(), odd() {
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        even[i][j] = bf16_at(tile.rows[i] + 4 * j);
        odd[i][j] = bf16_at(tile.rows[i] + 4 * j + 2);
      }
    }
  }
};

void dot_product(int c, int a, int b) {
  const int rows = rows_of(c);
  const int columns = row_bytes_of(c) / 4;
  const int pairs = row_bytes_of(a) / 4;
  if (c == a || c == b || a == b) refuse("TDPBF16PS of the same tile twice");
  if (rows_of(a) != rows || rows_of(b) != pairs || row_bytes_of(b) != 4 * columns ||
      row_bytes_of(a) % 4 != 0 || row_bytes_of(c) % 4 != 0) {
    refuse("TDPBF16PS of tiles that do not fit");
  }
  const Pairs left(state.tiles[a], rows, pairs);
  const Pairs right(state.tiles[b], pairs, columns);
  for (int m = 0; m < rows; ++m) {
    float even[kRowBytes / 4] = {};
    float odd[kRowBytes / 4] = {};
    for (int k = 0; k < pairs; ++k) {
      for (int n = 0; n < kRowBytes / 4; ++n) {
        even[n] = multiply_add(left.even[m][k], right.even[k][n], even[n]);
        odd[n] = multiply_add(left.odd[m][k], right.odd[k][n], odd[n]);
      }
    }
    for (int n = 0; n < columns; ++n) {
      std::byte* at = state.tiles[c].rows[m] + 4 * n;
      const float sum = flushed(float_at(at) + flushed(even[n] + odd[n]));
      std::memcpy(at, &sum, sizeof sum);
    }
  }
}

// A general register by the number that instructions give it.
greg_t register_of(const ucontext_t& context, int number) {
  constexpr int kPlaces[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                               REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                               REG_R12, REG_R13, REG_R14, REG_R15};
  return context.uc_mcontext.gregs[kPlaces[number]];
}

// An instruction with a three-byte VEX prefix of the 0F38 map, W = 0 and L = 0, as all of AMX have.
struct Instruction {
  enum Prefix { kNone, k66, kF3, kF2 };  // as VEX.pp has them

  uint8_t opcode = 0;
  Prefix prefix = kNone;
  int vvvv = 0;        // the third operand's register
  int mod = 0;         // ModRM
  int reg = 0;         //
  int rm = 0;          //
  int64_t base = 0;    // the address where there is one is their sum,
  int64_t stride = 0;  // but that of a tile's row is base + row * stride
  int length = 0;      // bytes
};

template <class T>
T read(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Reads the address behind the ModRM byte at code[4].
void decode_address(const ucontext_t& context, const uint8_t* code, Instruction* out) {
  const bool x = (code[1] & 0x40) == 0;
  const bool b = (code[1] & 0x20) == 0;
  int at = 5;
  int base = out->rm | (b ? 8 : 0);
  if (out->rm == 4) {  // a SIB byte
    const uint8_t sib = code[at++];
    base = (sib & 7) | (b ? 8 : 0);
    const int index = (sib >> 3 & 7) | (x ? 8 : 0);
    if (index != 4) out->stride = register_of(context, index) * (1 << (sib >> 6));
  }
  const bool no_base = (base & 7) == 5 && out->mod == 0;
  if (!no_base) out->base = register_of(context, base);
  if (out->mod == 1) {
    out->base += static_cast<int8_t>(code[at]);
    at += 1;
  } else if (out->mod == 2 || no_base) {
    out->base += read<int32_t>(code + at);
    at += 4;
  }
  // Without SIB such an address counts from the next instruction.
  if (no_base && out->rm != 4) out->base += reinterpret_cast<int64_t>(code) + at;
  out->length = at;
}

bool decode(const ucontext_t& context, Instruction* out) {
  const auto* code = reinterpret_cast<const uint8_t*>(context.uc_mcontext.gregs[REG_RIP]);
  const bool is_vex = code[0] == 0xc4 && (code[1] & 0x1f) == 2 && (code[2] & 0x84) == 0;
  if (!is_vex) return false;
  out->prefix = static_cast<Instruction::Prefix>(code[2] & 3);
  out->vvvv = ~code[2] >> 3 & 15;
  out->opcode = code[3];
  out->mod = code[4] >> 6;
  out->reg = code[4] >> 3 & 7;
  out->rm = code[4] & 7;
  out->length = 5;
  if (out->mod != 3) decode_address(context, code, out);
  return true;
}

// Opcode 49: the configuration, and TILEZERO.
bool execute_config(const Instruction& i) {
  auto* memory = reinterpret_cast<std::byte*>(i.base + i.stride);
  if (i.mod == 3 && i.prefix == Instruction::kF2 && i.rm == 0) {
    rows_of(i.reg);
    state.tiles[i.reg] = {};
  } else if (i.mod == 3 && i.prefix == Instruction::kNone && i.reg == 0 && i.rm == 0) {
    state = {};  // TILERELEASE
  } else if (i.mod != 3 && i.prefix == Instruction::kNone && i.reg == 0) {
    load_config(memory);
  } else if (i.mod != 3 && i.prefix == Instruction::k66 && i.reg == 0) {
    std::memcpy(memory, &state.config, sizeof state.config);
  } else {
    return false;
  }
  return true;
}

// Opcode 4B: between tiles and memory.
bool execute_move(const Instruction& i) {
  if (i.mod == 3 || i.rm != 4) return false;
  auto* memory = reinterpret_cast<std::byte*>(i.base);
  switch (i.prefix) {
    case Instruction::kF2:
    case Instruction::k66:  // with a hint about caches
      load_tile(i.reg, memory, i.stride);
      return true;
    case Instruction::kF3:
      store_tile(i.reg, memory, i.stride);
      return true;
    default:
      return false;
  }
}

bool execute(const Instruction& i) {
  switch (i.opcode) {
    case 0x49:
      return execute_config(i);
    case 0x4b:
      return execute_move(i);
    case 0x5c:
      if (i.prefix != Instruction::kF3 || i.mod != 3 || i.vvvv >= kTiles) return false;
      dot_product(i.reg, i.rm, i.vvvv);
      return true;
    default:
      return false;
  }
}

void handle(int, siginfo_t*, void* raw) {
  auto& context = *static_cast<ucontext_t*>(raw);
  Instruction instruction;
  if (!decode(context, &instruction) || !execute(instruction)) refuse("an unknown instruction");
  context.uc_mcontext.gregs[REG_RIP] += instruction.length;
  emulated_count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

struct AmxEmulation::State {
  struct sigaction action;
  uint32_t features;
};

AmxEmulation::AmxEmulation() : previous_(new State) {
  struct sigaction action = {};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  ::sigaction(SIGILL, &action, &previous_->action);
  previous_->features = assume_features(kAmxTile | kAmxBf16);
}

AmxEmulation::~AmxEmulation() {
  assume_features(previous_->features);
  ::sigaction(SIGILL, &previous_->action, nullptr);
}

int64_t AmxEmulation::emulated() { return emulated_count.load(std::memory_order_relaxed); }

}  // namespace hearth::engine::kernels
