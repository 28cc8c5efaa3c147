// Rows of text in columns, for people.
#pragma once

#include <string>
#include <vector>

namespace hearth::cli {

// Columns as wide as their widest cell, two spaces apart; each row ends with a line break. Cells
// are UTF-8, a character a column.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace hearth::cli
