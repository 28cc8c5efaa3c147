#include "engine/formats/tensor_table.h"

#include <algorithm>

namespace hearth::engine {

Result<TensorView> view_of(const FileTensor& tensor, const std::string& file) {
  if (!tensor.encoding) {
    return Error(Code::kUnsupported, file + ": tensor " + tensor.name + ": encoding " +
                                         tensor.type + ", which is not supported");
  }
  TensorView view{.encoding = *tensor.encoding, .rows = 1, .columns = 1, .bytes = tensor.bytes};
  if (!tensor.shape.empty()) view.columns = tensor.shape.back();
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i) view.rows *= tensor.shape[i];
  return view;
}

Result<void> check_disjoint(std::vector<NamedRange>& ranges, const std::string& file) {
  std::sort(ranges.begin(), ranges.end(), [](const NamedRange& a, const NamedRange& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  for (size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].begin < ranges[i - 1].end) {
      return Error(Code::kCorrupt, file + ": tensor " + *ranges[i].name + " at byte " +
                                       std::to_string(ranges[i].begin) + " overlaps tensor " +
                                       *ranges[i - 1].name + ", which ends at byte " +
                                       std::to_string(ranges[i - 1].end));
    }
  }
  return {};
}

}  // namespace hearth::engine
