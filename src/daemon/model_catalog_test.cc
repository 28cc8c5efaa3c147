#include "daemon/model_catalog.h"

#include <gtest/gtest.h>

#include "engine/kv_type.h"
#include "engine/model_files.h"
#include "runtime/kv_plan.h"

namespace hearth::daemon {
namespace {

TEST(ModelCatalog, TellsWhatEveryKindOfCacheTakes) {
  const std::string path = HEARTH_SOURCE_DIR "/models/ember";
  const auto facts = read_model_facts("ember", path);
  ASSERT_TRUE(facts.ok()) << facts.error().message();
  const auto files = engine::ModelFiles::open(path);
  const int64_t tokens = runtime::default_kv_plan((*files)->spec()).kv_tokens;
  ASSERT_EQ(facts->kv_layer_bytes.size(), engine::kAllKvTypes.size());
  for (const engine::KvType kv : engine::kAllKvTypes) {
    EXPECT_EQ(facts->kv_layer_bytes.at(std::string(to_string(kv))),
              tokens * engine::kv_token_bytes((*files)->spec(), kv));
  }
}

}  // namespace
}  // namespace hearth::daemon
