"""What the reference models are: sizes, random weights, and the same weights as llama.cpp's
converter (https://github.com/ggml-org/llama.cpp, conversion/) would write them."""
import json
import os

import numpy as np

import files
import reference

COMMON = {
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "vocab_size": 320,
}
SMALL = {**COMMON, "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4,
         "num_hidden_layers": 2, "num_key_value_heads": 2}
WIDE = {**COMMON, "head_dim": 32, "hidden_size": 128, "num_attention_heads": 4, "num_hidden_layers": 3,
        "num_key_value_heads": 2}
DELTA = {"linear_conv_kernel_dim": 4, "linear_key_head_dim": 32, "linear_num_key_heads": 2,
         "linear_num_value_heads": 4, "linear_value_head_dim": 32}


class Weights:
    """Random weights by name, all bfloat16 numbers."""

    def __init__(self, config, seed):
        self.config, self.random, self.all = config, np.random.default_rng(seed), {}

    def put(self, name, numbers):
        self.all[name] = files.rounded(numbers)

    def matrix(self, name, *shape):
        self.put(name + ".weight", self.random.normal(0, 1.4 / np.sqrt(shape[-1]), shape))

    def vector(self, name, size, mean=0.0, deviation=0.1):
        self.put(name, self.random.normal(mean, deviation, size))

    def norm(self, name, size, mean=1.0):
        self.vector(name + ".weight", size, mean)

    def ends(self, prefix="model.", norm_mean=1.0):
        c = self.config
        self.matrix(prefix + "embed_tokens", c["vocab_size"], c["hidden_size"])
        self.norm(prefix + "norm", c["hidden_size"], norm_mean)
        if not c["tie_word_embeddings"]:
            self.matrix("lm_head", c["vocab_size"], c["hidden_size"])

    def norms(self, prefix, mean=1.0):
        for name in ("input_layernorm", "post_attention_layernorm"):
            self.norm(prefix + name, self.config["hidden_size"], mean)

    def attention(self, prefix, bias=False, gated=False):
        c = self.config
        dim = reference.head_dim(c)
        query, key = c["num_attention_heads"] * dim, c["num_key_value_heads"] * dim
        for name, rows in (("q_proj", query * (2 if gated else 1)), ("k_proj", key), ("v_proj", key)):
            self.matrix(prefix + name, rows, c["hidden_size"])
            if bias:
                self.vector(prefix + name + ".bias", rows, 0, 0.5)
        self.matrix(prefix + "o_proj", c["hidden_size"], query)

    def mlp(self, prefix, width, names=("gate_proj", "up_proj", "down_proj")):
        hidden = self.config["hidden_size"]
        self.matrix(prefix + names[0], width, hidden)
        self.matrix(prefix + names[1], width, hidden)
        self.matrix(prefix + names[2], hidden, width)

    def qwen_experts(self, prefix):
        c = self.config
        self.matrix(prefix + "gate", c["num_experts"], c["hidden_size"])
        for expert in range(c["num_experts"]):
            self.mlp(f"{prefix}experts.{expert}.", c["moe_intermediate_size"])
        self.shared_expert(prefix)

    def fused_experts(self, prefix):
        c = self.config
        count, width, hidden = c["num_experts"], c["moe_intermediate_size"], c["hidden_size"]
        self.matrix(prefix + "gate", count, hidden)
        self.put(prefix + "experts.gate_up_proj", self.random.normal(0, 1.4 / np.sqrt(hidden), (count, 2 * width, hidden)))
        self.put(prefix + "experts.down_proj", self.random.normal(0, 1.4 / np.sqrt(width), (count, hidden, width)))
        self.shared_expert(prefix)

    def shared_expert(self, prefix):
        self.mlp(prefix + "shared_expert.", self.config["shared_expert_intermediate_size"])
        self.matrix(prefix + "shared_expert_gate", 1, self.config["hidden_size"])

    def delta_net(self, prefix, fused):
        c = self.config
        hidden, heads = c["hidden_size"], c["linear_num_value_heads"]
        keys = c["linear_num_key_heads"] * c["linear_key_head_dim"]
        values = heads * c["linear_value_head_dim"]
        if fused:
            self.matrix(prefix + "in_proj_qkvz", 2 * keys + 2 * values, hidden)
            self.matrix(prefix + "in_proj_ba", 2 * heads, hidden)
        else:
            self.matrix(prefix + "in_proj_qkv", 2 * keys + values, hidden)
            self.matrix(prefix + "in_proj_z", values, hidden)
            self.matrix(prefix + "in_proj_b", heads, hidden)
            self.matrix(prefix + "in_proj_a", heads, hidden)
        self.put(prefix + "conv1d.weight", self.random.normal(0, 0.7, (2 * keys + values, 1, c["linear_conv_kernel_dim"])))
        # Slow enough for a state to span the prompt, in some heads.
        self.put(prefix + "A_log", np.log(self.random.uniform(0.01, 1.0, heads)))
        self.vector(prefix + "dt_bias", heads, 0, 1.0)
        self.norm(prefix + "norm", c["linear_value_head_dim"])
        self.matrix(prefix + "out_proj", hidden, values)


# One function a model: config.json and weights ----------------------------------------------------


def plain_layers(w, feed_forward, prefix="model.", bias=False, head_norms=False):
    """Layers as in Llama."""
    w.ends(prefix)
    for layer in range(w.config["num_hidden_layers"]):
        name = f"{prefix}layers.{layer}."
        w.norms(name)
        w.attention(name + "self_attn.", bias)
        feed_forward(name)
    return w.all


def qwen2_moe():
    config = {**WIDE, "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "num_hidden_layers": 2,
              "intermediate_size": 160,
              "decoder_sparse_step": 1, "mlp_only_layers": [], "moe_intermediate_size": 64, "norm_topk_prob": False,
              "num_experts": 8, "num_experts_per_tok": 3, "shared_expert_intermediate_size": 96,
              "rope_theta": 1000000.0, "use_sliding_window": False, "sliding_window": None, "max_window_layers": 3}
    del config["head_dim"]
    w = Weights(config, 21)
    return config, plain_layers(w, lambda name: w.qwen_experts(name + "mlp."), bias=True)


def minimax_m2():
    config = {**WIDE, "architectures": ["MiniMaxM2ForCausalLM"], "model_type": "minimax_m2", "num_hidden_layers": 2,
              "intermediate_size": 64, "attn_type_list": [1, 1], "num_local_experts": 8, "num_experts_per_tok": 2, "qk_norm_type": "per_layer",
              "rope_theta": 5000000.0, "rotary_dim": 16, "scoring_func": "sigmoid", "shared_intermediate_size": 0,
              "use_qk_norm": True, "use_routing_bias": True}
    w = Weights(config, 22)
    w.ends()
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        w.norms(name)
        w.attention(name + "self_attn.")
        w.norm(name + "self_attn.q_norm", 128)
        w.norm(name + "self_attn.k_norm", 64)
        moe = name + "block_sparse_moe."
        w.matrix(moe + "gate", 8, 128)
        w.vector(moe + "e_score_correction_bias", 8)
        for expert in range(8):
            w.mlp(f"{moe}experts.{expert}.", 64, ("w1", "w3", "w2"))
    return config, w.all


def hybrid_layers(w, prefix, fused, feed_forward):
    """Layers as in Qwen3-Next, whose norms' weights are stored less 1."""
    w.ends(prefix, norm_mean=0.0)
    dim = reference.head_dim(w.config)
    for layer in range(w.config["num_hidden_layers"]):
        name = f"{prefix}layers.{layer}."
        w.norms(name, 0.0)
        if (layer + 1) % 4 != 0:
            w.delta_net(name + "linear_attn.", fused)
        else:
            w.attention(name + "self_attn.", gated=True)
            w.norm(name + "self_attn.q_norm", dim, 0.0)
            w.norm(name + "self_attn.k_norm", dim, 0.0)
        feed_forward(name + "mlp.")
    return w.all


def qwen3_next():
    config = {**WIDE, **DELTA, "architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next",
              "num_hidden_layers": 5, "intermediate_size": 160, "decoder_sparse_step": 1, "full_attention_interval": 4,
              "mlp_only_layers": [], "moe_intermediate_size": 32, "norm_topk_prob": True, "num_experts": 6,
              "num_experts_per_tok": 2, "partial_rotary_factor": 0.25, "rope_theta": 10000000.0, "rope_scaling": None,
              "shared_expert_intermediate_size": 64}
    w = Weights(config, 23)
    return config, hybrid_layers(w, "model.", True, w.qwen_experts)


def qwen3_5_text(layers, heads):
    """config.json's text_config, with the keys of transformers 5."""
    text = {**WIDE, **DELTA, "num_hidden_layers": layers, "linear_num_value_heads": heads, "attn_output_gate": True,
            "full_attention_interval": 4, "layer_types": ["linear_attention" if (i + 1) % 4 else "full_attention" for i in range(layers)],
            "rope_parameters": {"mrope_interleaved": True, "mrope_section": [2, 1, 1], "partial_rotary_factor": 0.25,
                                "rope_theta": 10000000.0, "rope_type": "default"}}
    del text["rope_theta"]
    return text


def qwen3_5():
    text = {**qwen3_5_text(4, 6), "model_type": "qwen3_5_text", "intermediate_size": 160, "tie_word_embeddings": True}
    config = {"architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5", "text_config": text,
              "tie_word_embeddings": True, "vision_config": {"model_type": "qwen3_5"}}
    w = Weights(text, 24)
    return config, hybrid_layers(w, "model.language_model.", False, lambda name: w.mlp(name, 160))


def qwen3_5_moe():
    text = {**qwen3_5_text(4, 4), "model_type": "qwen3_5_moe_text", "moe_intermediate_size": 32, "num_experts": 6,
            "num_experts_per_tok": 2, "shared_expert_intermediate_size": 64}
    config = {"architectures": ["Qwen3_5MoeForConditionalGeneration"], "model_type": "qwen3_5_moe", "text_config": text,
              "vision_config": {"model_type": "qwen3_5_moe"}}
    w = Weights(text, 25)
    return config, hybrid_layers(w, "model.language_model.", False, w.fused_experts)


def llama_linear():
    config = {**SMALL, "architectures": ["LlamaForCausalLM"], "model_type": "llama",
              "rope_scaling": {"factor": 4.0, "type": "linear"}}
    w = Weights(config, 26)
    return config, plain_layers(w, lambda name: w.mlp(name + "mlp.", 96))


def qwen2_yarn():
    config = {**SMALL, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False,
              "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 512, "type": "yarn"}}
    w = Weights(config, 27)
    return config, plain_layers(w, lambda name: w.mlp(name + "mlp.", 96), bias=True)


def phi3_longrope():
    """Sequences of up to 192 tokens turn by other factors than longer ones."""
    config = {**SMALL, "architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "max_position_embeddings": 768,
              "original_max_position_embeddings": 192, "sliding_window": None,
              "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.1, 1.3, 1.5, 1.8, 2.1, 2.5, 3.0],
                               "long_factor": [1.0, 1.5, 2.2, 3.5, 5.0, 8.0, 13.0, 20.0]}}
    w = Weights(config, 28)
    w.ends()
    for layer in range(2):
        name = f"model.layers.{layer}."
        w.norms(name)
        w.matrix(name + "self_attn.qkv_proj", 128, 64)
        w.matrix(name + "self_attn.o_proj", 64, 64)
        w.matrix(name + "mlp.gate_up_proj", 192, 64)
        w.matrix(name + "mlp.down_proj", 64, 96)
    return config, w.all


RECIPES = {f.__name__: f for f in (qwen2_moe, minimax_m2, qwen3_next, qwen3_5, qwen3_5_moe, llama_linear, qwen2_yarn,
                                   phi3_longrope)}
# Prompts longer than usual, each with a golden of its own.
LONG_PROMPTS = {"phi3_longrope": 200}


# GGUF -------------------------------------------------------------------------------------------

GGUF_NAMES = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "linear_attn.in_proj_qkv.weight": "attn_qkv.weight",
    "linear_attn.in_proj_z": "attn_gate",
    "linear_attn.in_proj_ba": "ssm_ba",
    "linear_attn.in_proj_a": "ssm_alpha",
    "linear_attn.in_proj_b": "ssm_beta",
    "linear_attn.conv1d": "ssm_conv1d",
    "linear_attn.A_log": "ssm_a",
    "linear_attn.dt_bias": "ssm_dt.bias",
    "linear_attn.norm": "ssm_norm",
    "linear_attn.out_proj": "ssm_out",
    "block_sparse_moe.gate": "ffn_gate_inp",
    "block_sparse_moe.e_score_correction_bias": "exp_probs_b.bias",
    "mlp.gate.weight": "ffn_gate_inp.weight",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_expert_gate": "ffn_gate_inp_shexp",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
EXPERT_NAMES = {"gate_proj": "ffn_gate_exps", "w1": "ffn_gate_exps", "up_proj": "ffn_up_exps", "w3": "ffn_up_exps",
                "down_proj": "ffn_down_exps", "w2": "ffn_down_exps"}
ARCHITECTURES = {"qwen2_moe": "qwen2moe", "minimax_m2": "minimax-m2", "qwen3_next": "qwen3next",
                 "qwen3_5_text": "qwen35", "qwen3_5_moe_text": "qwen35moe"}


def gguf_metadata(config, arch):
    rope = config.get("rope_parameters", {})
    dim = reference.head_dim(config)
    partial = rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    keys = {
        "block_count": config["num_hidden_layers"],
        "context_length": config["max_position_embeddings"],
        "embedding_length": config["hidden_size"],
        "feed_forward_length": config.get("intermediate_size"),
        "attention.head_count": config["num_attention_heads"],
        "attention.head_count_kv": config["num_key_value_heads"],
        "attention.key_length": config.get("head_dim"),
        "attention.value_length": config.get("head_dim"),
        "attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
        "rope.freq_base": rope.get("rope_theta", config.get("rope_theta")),
        "rope.dimension_count": config.get("rotary_dim", int(dim * partial)),
        "rope.dimension_sections": rope["mrope_section"] + [0] if rope else None,
        "expert_count": config.get("num_experts", config.get("num_local_experts")),
        "expert_used_count": config.get("num_experts_per_tok"),
        "expert_feed_forward_length": config.get("moe_intermediate_size"),
        "expert_shared_feed_forward_length": config.get("shared_expert_intermediate_size"),
    }
    if arch == "minimax-m2":
        keys["expert_feed_forward_length"] = config["intermediate_size"]
        keys["expert_gating_func"] = 2
    if "linear_num_key_heads" in config:
        keys["ssm.conv_kernel"] = config["linear_conv_kernel_dim"]
        keys["ssm.state_size"] = config["linear_key_head_dim"]
        keys["ssm.group_count"] = config["linear_num_key_heads"]
        keys["ssm.time_step_rank"] = config["linear_num_value_heads"]
        keys["ssm.inner_size"] = config["linear_num_value_heads"] * config["linear_value_head_dim"]
        keys["full_attention_interval"] = config["full_attention_interval"]
    metadata = {"general.architecture": arch, "general.name": arch}
    metadata |= {f"{arch}.{key}": value for key, value in keys.items() if value is not None}
    return metadata | {"tokenizer.ggml.bos_token_id": config["bos_token_id"], "tokenizer.ggml.eos_token_id": config["eos_token_id"]}


def by_value_head(config, name, w):
    """Qwen 3.5's value heads, that follow each other key head by key head, in turns of key heads."""
    key_heads, heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
    dim = config["linear_value_head_dim"]
    keys = 2 * key_heads * config["linear_key_head_dim"]

    def turn(x, axis, size):
        split = x.shape[:axis] + (key_heads, heads // key_heads, size) + x.shape[axis + 1 :]
        return x.reshape(split).swapaxes(axis, axis + 1).reshape(x.shape)

    if name.endswith(("in_proj_qkv.weight", "conv1d.weight")):
        return np.concatenate([w[:keys], turn(w[keys:], 0, dim)])
    if name.endswith("in_proj_z.weight"):
        return turn(w, 0, dim)
    if name.endswith(("in_proj_a.weight", "in_proj_b.weight", "A_log", "dt_bias")):
        return turn(w, 0, 1)
    return turn(w, 1, dim) if name.endswith("out_proj.weight") else w


def split_qkvz(config, w):
    """Qwen3-Next's rows, key head by key head, as all of q, k and v, and all of z."""
    ratio = config["linear_num_value_heads"] // config["linear_num_key_heads"]
    dk, value = config["linear_key_head_dim"], ratio * config["linear_value_head_dim"]
    of_head = w.reshape(config["linear_num_key_heads"], -1, w.shape[1])
    parts = np.split(of_head, np.cumsum([dk, dk, value]), axis=1)
    q, k, v, z = (part.reshape(-1, w.shape[1]) for part in parts)
    return np.concatenate([q, k, v]), z


def gguf_layer_name(arch, rest):
    names = dict(GGUF_NAMES)
    hybrid = arch in ("qwen3next", "qwen35", "qwen35moe")
    names["post_attention_layernorm"] = "post_attention_norm" if hybrid else "ffn_norm"
    for theirs, ours in names.items():
        if rest == theirs or rest.startswith(theirs + "."):
            return ours + rest[len(theirs) :]
    raise KeyError(rest)


def gguf_tensors(config, arch, weights):
    ends = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
            "lm_head.weight": "output.weight"}
    tensors = {}
    for full, w in weights.items():
        name = reference.plain_name(full)
        if arch.startswith("qwen35") and "linear_attn." in name:
            w = by_value_head(config, name, w)
        if arch in ("qwen3next", "qwen35", "qwen35moe") and name.endswith("norm.weight") and "linear_attn" not in name:
            w = w + 1
        if name.endswith("A_log"):
            w = -np.exp(w)
        if name.endswith("conv1d.weight"):
            w = w[:, 0, :]
        if name.endswith("shared_expert_gate.weight"):
            w = w[0]
        if name in ends:
            tensors[ends[name]] = w
            continue
        layer, rest = name.removeprefix("model.layers.").split(".", 1)
        block = f"blk.{layer}."
        if rest == "linear_attn.in_proj_qkvz.weight":
            tensors[block + "attn_qkv.weight"], tensors[block + "attn_gate.weight"] = split_qkvz(config, w)
        elif rest == "mlp.experts.gate_up_proj":
            tensors[block + "ffn_gate_exps.weight"], tensors[block + "ffn_up_exps.weight"] = np.split(w, 2, axis=1)
        elif rest == "mlp.experts.down_proj":
            tensors[block + "ffn_down_exps.weight"] = w
        elif ".experts." in rest:
            stacked = block + EXPERT_NAMES[rest.split(".")[-2]] + ".weight"
            tensors[stacked] = np.concatenate([tensors.get(stacked, w[None][:0]), w[None]])
        else:
            tensors[block + gguf_layer_name(arch, rest)] = w
    return tensors


# Files ------------------------------------------------------------------------------------------


def write_golden(model, path, length):
    """Of the first prompt for which every choice, of experts and of greedy tokens, is clear: rounding
    the cache to bfloat16 must not turn it."""
    for seed in range(1000):
        ids = np.random.default_rng(seed).integers(3, model.config["vocab_size"], length)
        model.closest_choice = np.inf
        logits = model.logits(ids)
        if model.closest_choice < 2e-3:
            continue
        tokens, lead = reference.greedy(model, ids)
        if lead > 5e-3:
            break
    else:
        raise ValueError(f"no prompt for {path} is clear")
    files.write_safetensors(path, {"input_ids": ("I64", ids), "logits": ("F32", logits), "greedy": ("I64", np.array(tokens))})


def make(name):
    config, weights = RECIPES[name]()
    folder = os.path.join(reference.MODELS, name)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=2, sort_keys=True)
        file.write("\n")
    files.write_safetensors(os.path.join(folder, "model.safetensors"), {n: ("BF16", w) for n, w in weights.items()})
    model = reference.Model(config, weights)
    write_golden(model, os.path.join(folder, "golden.safetensors"), reference.PROMPT)
    if name in LONG_PROMPTS:
        write_golden(model, os.path.join(folder, "golden-long.safetensors"), LONG_PROMPTS[name])
    arch = ARCHITECTURES.get(model.kind)
    if arch is not None:
        path = os.path.join(reference.GGUF, name + ".gguf")
        files.write_gguf(path, gguf_metadata(model.config, arch), gguf_tensors(model.config, arch, weights))
    print(f"{name}: written")
