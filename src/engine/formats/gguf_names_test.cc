#include "engine/formats/gguf_names.h"

#include <gtest/gtest.h>

namespace hearth::engine {
namespace {

TEST(GgufNames, OfMostArchitectures) {
  EXPECT_EQ(hugging_face_name("token_embd.weight", kLlama), "model.embed_tokens.weight");
  EXPECT_EQ(hugging_face_name("output.weight", kLlama), "lm_head.weight");
  EXPECT_EQ(hugging_face_name("blk.12.attn_q.bias", kQwen2),
            "model.layers.12.self_attn.q_proj.bias");
  EXPECT_EQ(hugging_face_name("blk.0.ffn_up_exps.weight", kQwen3Moe),
            "model.layers.0.mlp.experts.up_proj.weight");
}

TEST(GgufNames, OfOneArchitecture) {
  EXPECT_EQ(hugging_face_name("blk.3.exp_probs_b.bias", kMinimaxM2),
            "model.layers.3.block_sparse_moe.e_score_correction_bias");
  EXPECT_EQ(hugging_face_name("blk.3.ffn_down_exps.weight", kMinimaxM2),
            "model.layers.3.block_sparse_moe.experts.down_proj.weight");
  EXPECT_EQ(hugging_face_name("blk.3.ssm_a", kQwen3Next), "model.layers.3.linear_attn.A");
  EXPECT_EQ(hugging_face_name("blk.3.ssm_dt.bias", kQwen35), "model.layers.3.linear_attn.dt_bias");
  EXPECT_EQ(hugging_face_name("blk.3.ssm_in.weight", kQwen3Next),
            "model.layers.3.linear_attn.in_proj_qkvz.weight");
  EXPECT_EQ(hugging_face_name("blk.3.attn_qkv.weight", kQwen35Moe),
            "model.layers.3.linear_attn.in_proj_qkv.weight");
  EXPECT_EQ(hugging_face_name("blk.3.ffn_gate_up_exps.weight", kQwen35Moe),
            "model.layers.3.mlp.experts.gate_up_proj.weight");
}

TEST(GgufNames, OthersAreEmpty) {
  for (const char* name :
       {"", "blk", "blk.", "blk..attn_q.weight", "blk.0", "blk.0.", "blk.0.attn_q",
        "blk.0.attn_q.scale", "attn_q.weight", "blk.0.ssm_a", "output", "nonsense"}) {
    EXPECT_EQ(hugging_face_name(name, kLlama), "") << name;
  }
}

}  // namespace
}  // namespace hearth::engine
