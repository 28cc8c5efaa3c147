// Random tensors in every encoding, for tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "engine/formats/encoding.h"
#include "engine/model_files.h"

namespace hearth::engine {

// An encoding with one kind of scales of its own, or none.
struct TensorKind {
  enum class Offsets { kNone, kBiases, kZeros };

  Encoding encoding;
  Encoding type = Encoding::kF32;  // of scales
  int64_t group_rows = 1;
  int64_t group_columns = 32;
  Offsets offsets = Offsets::kNone;

  std::string name() const {
    std::string text(to_string(encoding));
    if (!has_group_scales(encoding)) return text;
    text += " " + std::string(to_string(type)) + " scales of " + std::to_string(group_rows) +
            " x " + std::to_string(group_columns);
    if (offsets == Offsets::kBiases) text += " with biases";
    if (offsets == Offsets::kZeros) text += " with zeros";
    return text;
  }
  bool quantised() const { return encoding > Encoding::kBF16 && encoding != Encoding::kF8_E4M3; }
};

inline std::vector<TensorKind> all_tensor_kinds() {
  using Offsets = TensorKind::Offsets;
  std::vector<TensorKind> kinds;
  for (int e = 0; e < static_cast<int>(Encoding::kF8_E4M3); ++e) {
    kinds.push_back({.encoding = static_cast<Encoding>(e)});
  }
  kinds.push_back({.encoding = Encoding::kMXFP4Split});
  kinds.push_back({Encoding::kF8_E4M3, Encoding::kF32, 128, 128});
  kinds.push_back({Encoding::kF8_E4M3, Encoding::kBF16, 3, 96});
  kinds.push_back({Encoding::kF8_E4M3, Encoding::kF16, 1 << 20, 1 << 20});
  for (const Encoding encoding : {Encoding::kInt2, Encoding::kInt3, Encoding::kInt4,
                                  Encoding::kInt5, Encoding::kInt6, Encoding::kInt8}) {
    kinds.push_back({encoding, Encoding::kF16, 1, 32, Offsets::kBiases});
    kinds.push_back({encoding, Encoding::kBF16, 1, 64, Offsets::kBiases});
  }
  kinds.push_back({Encoding::kInt4, Encoding::kF32, 1, 128, Offsets::kBiases});
  kinds.push_back({Encoding::kInt4, Encoding::kBF16, 1, 32});
  kinds.push_back({Encoding::kInt8, Encoding::kF32, 1, 1 << 20});
  kinds.push_back({Encoding::kInt4, Encoding::kF16, 1, 128, Offsets::kZeros});
  kinds.push_back({Encoding::kInt8, Encoding::kF32, 1, 1 << 20, Offsets::kZeros});
  return kinds;
}

// Random bytes are valid numbers of any encoding, but floats and scales are kept near 1, and NaN
// out of FP8.
class TestTensor {
 public:
  TestTensor(const TensorKind& kind, int64_t rows, int64_t columns, std::mt19937& engine)
      : bytes_(rows * columns / block_elements(kind.encoding) * block_bytes(kind.encoding)) {
    for (std::byte& byte : bytes_) byte = static_cast<std::byte>(engine());
    near_one(kind.encoding, &bytes_, engine);
    view = {.encoding = kind.encoding, .rows = rows, .columns = columns, .bytes = bytes_};
    if (!has_group_scales(kind.encoding)) return;
    const int64_t per_row = divide_up(columns, kind.group_columns);
    const int64_t groups = divide_up(rows, kind.group_rows) * per_row;
    view.groups = {.type = kind.type, .rows = kind.group_rows, .columns = kind.group_columns};
    const bool e8m0 = kind.encoding == Encoding::kMXFP4Split;
    view.groups.scales = fill(&scales_, e8m0 ? 1 : block_bytes(kind.type), groups, engine);
    if (e8m0) {
      for (std::byte& byte : scales_) byte = random_power(engine);
    } else {
      near_one(kind.type, &scales_, engine);
    }
    if (kind.offsets == TensorKind::Offsets::kBiases) {
      view.groups.biases = fill(&biases_, block_bytes(kind.type), groups, engine);
      near_one(kind.type, &biases_, engine);
    }
    if (kind.offsets == TensorKind::Offsets::kZeros) {
      const int64_t in_word = 128 / block_bytes(kind.encoding);
      view.groups.zeros = fill(&zeros_, 4, divide_up(rows, in_word) * per_row, engine);
    }
  }
  TestTensor(const TestTensor&) = delete;
  TestTensor& operator=(const TestTensor&) = delete;

  // All bytes of the numbers (their small scales too); halves and FP32 scales become 1.
  void set_all(int byte) {
    std::fill(bytes_.begin(), bytes_.end(), static_cast<std::byte>(byte));
    set_to_one(view.encoding, &bytes_);
    for (std::vector<std::byte>* floats : {&scales_, &biases_}) {
      if (view.encoding == Encoding::kMXFP4Split) {
        std::fill(floats->begin(), floats->end(), std::byte{127});
      } else {
        set_to_one(view.groups.type, floats);
      }
    }
    std::fill(zeros_.begin(), zeros_.end(), static_cast<std::byte>(byte));
  }

  TensorView view;

 private:
  static int64_t divide_up(int64_t value, int64_t by) { return (value + by - 1) / by; }
  static std::byte random_power(std::mt19937& engine) {
    return static_cast<std::byte>(122 + engine() % 6);
  }
  static std::span<const std::byte> fill(std::vector<std::byte>* bytes, int64_t size, int64_t count,
                                         std::mt19937& engine) {
    bytes->resize(size * count);
    for (std::byte& byte : *bytes) byte = static_cast<std::byte>(engine());
    return *bytes;
  }

  // Where a block has halves (or is one).
  static std::vector<int> halves(Encoding encoding) {
    switch (encoding) {
      case Encoding::kF16:
      case Encoding::kQ4_0:
      case Encoding::kQ5_0:
      case Encoding::kQ8_0:
      case Encoding::kIQ4_NL:
      case Encoding::kIQ4_XS:
        return {0};
      case Encoding::kQ4_1:
      case Encoding::kQ5_1:
      case Encoding::kQ4_K:
      case Encoding::kQ5_K:
        return {0, 2};
      case Encoding::kQ2_K:
        return {80, 82};
      case Encoding::kQ3_K:
        return {108};
      case Encoding::kQ6_K:
        return {208};
      default:
        return {};
    }
  }
  static void near_one(Encoding encoding, std::vector<std::byte>* bytes, std::mt19937& engine) {
    const auto at = [&](size_t i) -> std::byte& { return (*bytes)[i]; };
    for (size_t i = 0; i < bytes->size(); i += block_bytes(encoding)) {
      for (const int half : halves(encoding)) {
        at(i + half + 1) = (at(i + half + 1) & std::byte{0x83}) | std::byte{0x34};
      }
      if (encoding == Encoding::kF32 || encoding == Encoding::kBF16) {
        std::byte& high = at(i + block_bytes(encoding) - 1);
        high = (high & std::byte{0x83}) | std::byte{0x3c};
      }
      if (encoding == Encoding::kMXFP4) at(i) = random_power(engine);
      if (encoding == Encoding::kF8_E4M3 && (at(i) & std::byte{0x7f}) == std::byte{0x7f}) {
        at(i) = std::byte{0};
      }
    }
  }
  static void set_to_one(Encoding encoding, std::vector<std::byte>* bytes) {
    const auto at = [&](size_t i) -> std::byte& { return (*bytes)[i]; };
    for (size_t i = 0; i < bytes->size(); i += block_bytes(encoding)) {
      for (const int half : halves(encoding)) {
        at(i + half) = std::byte{0};
        at(i + half + 1) = std::byte{0x3c};
      }
      if (encoding == Encoding::kF32 || encoding == Encoding::kBF16) {
        const int bytes_each = block_bytes(encoding);
        for (int j = 0; j < bytes_each; ++j) at(i + j) = std::byte{0};
        at(i + bytes_each - 2) = std::byte{0x80};
        at(i + bytes_each - 1) = std::byte{0x3f};
      }
      if (encoding == Encoding::kMXFP4) at(i) = std::byte{127};
    }
  }

  std::vector<std::byte> bytes_;
  std::vector<std::byte> scales_;
  std::vector<std::byte> biases_;
  std::vector<std::byte> zeros_;
};

}  // namespace hearth::engine
