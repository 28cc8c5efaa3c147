#include "engine/model_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
namespace hearth::engine {
TEST(ModelFiles, Opens) {
  for (std::string m : {"llama", "qwen2", "qwen3"}) {
    auto r = ModelFiles::open(HEARTH_SOURCE_DIR "/tests/golden/models/" + m);
    ASSERT_TRUE(r.ok()) << r.error().message();
  }
}
}  // namespace hearth::engine
