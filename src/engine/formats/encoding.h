// The encodings' geometry, with arithmetic that cannot overflow. Block layouts: docs/formats.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "engine/model_files.h"

namespace hearth::engine {

// The product of `dimensions`; nothing if one is negative or the product exceeds int64_t.
std::optional<int64_t> element_count(std::span<const int64_t> dimensions);

// Bytes of `elements` numbers stored in blocks; nothing if they do not fill whole blocks or
// overflow.
std::optional<int64_t> blocks_to_bytes(int64_t elements, int64_t block_elements,
                                       int64_t block_bytes);

// Checks that the scales of a whole tensor (first_row 0, row_step 1, sizes already plausible) are
// as GroupScales says. kCorrupt names the tensor. REQUIRES: has_group_scales(view.encoding).
Result<void> check_groups(const TensorView& view, const std::string& name);

// A tensor's columns may be parted at multiples of this many: its blocks and groups of scales stay
// whole.
int64_t column_unit(const TensorView& view);

// Bytes that the view's numbers take in the file, their part of the tensor's scales included.
int64_t stored_bytes(const TensorView& view);

// The part of the file from row `begin` of the view up to row `end`, from the first number of the
// view to the last. REQUIRES: begin < end.
std::span<const std::byte> bytes_of_rows(const TensorView& view, int64_t begin, int64_t end);

}  // namespace hearth::engine
