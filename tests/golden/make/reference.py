#!/usr/bin/python3
"""Reference models for tests: small random weights, and the logits that the published definitions of
their architectures give for them.

  reference.py make NAME...    writes tests/golden/models/NAME (and gguf/NAME.gguf where there is one)
  reference.py check FOLDER... compares a model's golden.safetensors with what this file computes

Nothing here is shared with the engine, nor written like it: whole sequences at once, full attention
matrices, the delta rule as the product of matrices that defines it, in float64. Where authors'
code and papers differ, Hugging Face transformers' reading counts. On the models under tests/golden
that were made with transformers (llama, mistral, qwen2, qwen3, qwen3_moe, phi3, gemma3_text,
glm4_moe), `check` finds differences below 2e-5 and the same greedy tokens.

Needs numpy (Debian: python3-numpy).
"""
import json
import math
import os
import sys

import numpy as np

sys.dont_write_bytecode = True  # no caches in the source tree
import files  # noqa: E402

MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models")
GGUF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "gguf")
PROMPT = 48
GREEDY = 32


# Arithmetic ------------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def rms_norm(x, weight, epsilon):
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + epsilon) * weight


# Rotary position embedding ----------------------------------------------------------------------


def yarn_frequencies(base, dim, scaling, context):
    original = scaling.get("original_max_position_embeddings") or context
    pairs = np.arange(dim // 2)
    plain = base ** (-2.0 * pairs / dim)

    def pair_turning(times):
        return dim * math.log(original / (times * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(pair_turning(scaling.get("beta_fast", 32))), 0)
    high = min(math.ceil(pair_turning(scaling.get("beta_slow", 1))), dim - 1)
    ramp = np.clip((pairs - low) / max(high - low, 0.001), 0, 1)
    factor = scaling["factor"]
    return plain / factor * ramp + plain * (1 - ramp), 0.1 * math.log(factor) + 1


def llama3_frequencies(plain, scaling):
    original = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    turns = original * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return plain / scaling["factor"] * (1 - smooth) + plain * smooth


def frequencies(config, scaling, base, dim, length):
    """Radians per position of each pair, and what cosines and sines are multiplied by."""
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    context = config["max_position_embeddings"]
    plain = base ** (-2.0 * np.arange(dim // 2) / dim)
    if kind == "default":
        return plain, 1.0
    if kind == "linear":
        return plain / scaling["factor"], 1.0
    if kind == "llama3":
        return llama3_frequencies(plain, scaling), 1.0
    if kind == "yarn":
        return yarn_frequencies(base, dim, scaling, context)
    if kind == "dynamic":
        longest = max(length, context)
        stretch = scaling["factor"] * longest / context - (scaling["factor"] - 1)
        return (base * stretch ** (dim / (dim - 2))) ** (-2.0 * np.arange(dim // 2) / dim), 1.0
    assert kind == "longrope", kind
    original = config.get("original_max_position_embeddings", context)
    factors = scaling["long_factor" if length > original else "short_factor"]
    factor = context / original
    temperature = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(original))
    return plain / np.array(factors), temperature


def rope_tables(config, length, local=False):
    """cos and sin [length, dim / 2] for the positions 0 .. length - 1."""
    scaling = dict(config.get("rope_scaling") or config.get("rope_parameters") or {})
    base = scaling.get("rope_theta", config.get("rope_theta"))
    if local:
        base, scaling = config["rope_local_base_freq"], {}
    head = head_dim(config)
    partial = scaling.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    dim = config.get("rotary_dim") or int(head * partial)
    per_position, factor = frequencies(config, scaling, base, dim, length)
    angles = np.arange(length)[:, None] * per_position[None, :]
    return np.cos(angles) * factor, np.sin(angles) * factor


def rotate(x, cos, sin):
    """x [length, heads, head_dim]; the pairs are (i, i + dim / 2) of the first dim."""
    half = cos.shape[1]
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    cos, sin = cos[:, None, :], sin[:, None, :]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin, rest], axis=-1)


# Layers -----------------------------------------------------------------------------------------


def head_dim(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


class Model:
    """config.json (of the language model) and the weights by Hugging Face's names."""

    def __init__(self, config, weights):
        self.outer = config
        self.config = config.get("text_config", config)
        self.weights = {plain_name(name): np.asarray(w, np.float64) for name, w in weights.items()}
        self.kind = self.config["model_type"]
        self.epsilon = self.config["rms_norm_eps"]
        self.closest_choice = math.inf  # by which an expert was preferred to one not chosen

    def w(self, name):
        return self.weights[name]

    def linear(self, name, x):
        y = x @ self.w(name + ".weight").T
        return y + self.w(name + ".bias") if name + ".bias" in self.weights else y

    def norm(self, name, x):
        """Gemma and Qwen3-Next keep their weights less 1."""
        less_one = self.kind.startswith(("gemma3", "qwen3_next", "qwen3_5"))
        return rms_norm(x, self.w(name + ".weight") + (1 if less_one else 0), self.epsilon)

    def logits(self, ids):
        config = self.config
        x = self.w("model.embed_tokens.weight")[ids]
        if self.kind.startswith("gemma3"):
            x = x * math.sqrt(config["hidden_size"])
        for layer in range(config["num_hidden_layers"]):
            x = self.layer(f"model.layers.{layer}.", layer, x)
        x = self.norm("model.norm", x)
        tied = "lm_head.weight" not in self.weights
        return x @ self.w("model.embed_tokens.weight" if tied else "lm_head.weight").T

    def layer(self, prefix, layer, x):
        h = self.norm(prefix + "input_layernorm", x)
        if self.is_linear(layer):
            y = self.delta_net(prefix + "linear_attn.", h)
        else:
            y = self.attention(prefix + "self_attn.", layer, h)
        if self.kind.startswith("gemma3"):
            x = x + self.norm(prefix + "post_attention_layernorm", y)
            h = self.norm(prefix + "pre_feedforward_layernorm", x)
            y = self.feed_forward(prefix, layer, h)
            return x + self.norm(prefix + "post_feedforward_layernorm", y)
        x = x + y
        h = self.norm(prefix + "post_attention_layernorm", x)
        return x + self.feed_forward(prefix, layer, h)

    def is_linear(self, layer):
        if not self.kind.startswith(("qwen3_next", "qwen3_5")):
            return False
        types = self.config.get("layer_types")
        if types:
            return types[layer] == "linear_attention"
        return (layer + 1) % self.config.get("full_attention_interval", 4) != 0

    def slides(self, layer):
        if self.kind.startswith("gemma3"):
            return (layer + 1) % self.config.get("sliding_window_pattern", 6) != 0
        return self.kind in ("mistral", "phi3") and self.config.get("sliding_window")

    def attention(self, prefix, layer, h):
        config, length = self.config, len(h)
        heads, kv_heads, dim = config["num_attention_heads"], config["num_key_value_heads"], head_dim(config)
        if self.kind == "phi3":
            qkv = self.linear(prefix + "qkv_proj", h)
            q, k, v = np.split(qkv, [heads * dim, (heads + kv_heads) * dim], axis=1)
        else:
            q, k, v = (self.linear(prefix + name, h) for name in ("q_proj", "k_proj", "v_proj"))
        gate = None
        if self.kind.startswith(("qwen3_next", "qwen3_5")):
            q, gate = np.split(q.reshape(length, heads, 2 * dim), 2, axis=-1)
        if self.kind == "minimax_m2":  # over all heads at once
            q, k = self.norm(prefix + "q_norm", q), self.norm(prefix + "k_norm", k)
        q, k, v = (x.reshape(length, -1, dim) for x in (q, k, v))
        if self.kind != "minimax_m2" and prefix + "q_norm.weight" in self.weights:
            q, k = self.norm(prefix + "q_norm", q), self.norm(prefix + "k_norm", k)
        local = self.kind.startswith("gemma3") and self.slides(layer)
        cos, sin = rope_tables(config, length, local)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        scale = config.get("query_pre_attn_scalar", dim) ** -0.5

        rows, columns = np.arange(length)[:, None], np.arange(length)[None, :]
        hidden = columns > rows
        if self.slides(layer):
            hidden |= columns <= rows - config["sliding_window"]
        out = np.empty((length, heads, dim))
        for head in range(heads):
            kv = head * kv_heads // heads
            scores = np.where(hidden, -np.inf, q[:, head] @ k[:, kv].T * scale)
            out[:, head] = softmax(scores) @ v[:, kv]
        if gate is not None:
            out = out * sigmoid(gate)
        return self.linear(prefix + "o_proj", out.reshape(length, -1))

    def delta_net(self, prefix, h):
        config, length = self.config, len(h)
        key_heads, value_heads = config["linear_num_key_heads"], config["linear_num_value_heads"]
        dk, dv = config["linear_key_head_dim"], config["linear_value_head_dim"]
        ratio = value_heads // key_heads
        if self.kind == "qwen3_next":
            # Of each key head: query, key, its values, its zs; and its bs, its as.
            qkvz = self.linear(prefix + "in_proj_qkvz", h).reshape(length, key_heads, -1)
            q, k, v, z = np.split(qkvz, np.cumsum([dk, dk, ratio * dv]), axis=-1)
            ba = self.linear(prefix + "in_proj_ba", h).reshape(length, key_heads, 2, ratio)
            b, a = ba[:, :, 0], ba[:, :, 1]
            mixed = np.concatenate([x.reshape(length, -1) for x in (q, k, v)], axis=-1)
        else:
            mixed = self.linear(prefix + "in_proj_qkv", h)
            z, b, a = (self.linear(prefix + name, h) for name in ("in_proj_z", "in_proj_b", "in_proj_a"))
        z = z.reshape(length, value_heads, dv)
        b, a = b.reshape(length, value_heads), a.reshape(length, value_heads)

        taps = self.w(prefix + "conv1d.weight")[:, 0, :]
        padded = np.concatenate([np.zeros((taps.shape[1] - 1, mixed.shape[1])), mixed])
        mixed = silu(sum(padded[i : i + length] * taps[:, i] for i in range(taps.shape[1])))
        q, k, v = np.split(mixed, [key_heads * dk, 2 * key_heads * dk], axis=-1)
        q, k, v = q.reshape(length, key_heads, dk), k.reshape(length, key_heads, dk), v.reshape(length, value_heads, dv)
        q = q / np.sqrt((q**2).sum(-1, keepdims=True) + 1e-6) * dk**-0.5
        k = k / np.sqrt((k**2).sum(-1, keepdims=True) + 1e-6)

        beta = sigmoid(b)
        log_decay = -np.exp(self.w(prefix + "A_log")) * np.logaddexp(0, a + self.w(prefix + "dt_bias"))
        out = np.empty((length, value_heads, dv))
        for head in range(value_heads):
            out[:, head] = delta_rule(
                q[:, head // ratio], k[:, head // ratio], v[:, head], beta[:, head], np.exp(log_decay[:, head])
            )
        out = rms_norm(out, self.w(prefix + "norm.weight"), self.epsilon) * silu(z)
        return self.linear(prefix + "out_proj", out.reshape(length, -1))

    def feed_forward(self, prefix, layer, h):
        if prefix + "block_sparse_moe.gate.weight" in self.weights:
            return self.minimax_experts(prefix + "block_sparse_moe.", h)
        prefix += "mlp."
        if prefix + "gate.weight" in self.weights:
            return self.experts(prefix, h)
        return self.mlp(prefix, h)

    def mlp(self, prefix, h):
        activation = gelu_tanh if self.kind.startswith("gemma3") else silu
        if self.kind == "phi3":
            gate, up = np.split(self.linear(prefix + "gate_up_proj", h), 2, axis=-1)
        else:
            gate, up = self.linear(prefix + "gate_proj", h), self.linear(prefix + "up_proj", h)
        return self.linear(prefix + "down_proj", activation(gate) * up)

    def expert(self, prefix, number, h):
        if prefix + "experts.gate_up_proj" in self.weights:
            gate, up = np.split(h @ self.w(prefix + "experts.gate_up_proj")[number].T, 2, axis=-1)
            return (silu(gate) * up) @ self.w(prefix + "experts.down_proj")[number].T
        return self.mlp(f"{prefix}experts.{number}.", h)

    def experts(self, prefix, h):
        config = self.config
        scores = self.linear(prefix + "gate", h)
        if self.kind == "glm4_moe":
            scores = sigmoid(scores)
            choice = scores + self.w(prefix + "gate.e_score_correction_bias")
            normalise, scale = config["norm_topk_prob"], config["routed_scaling_factor"]
        else:
            choice = scores = softmax(scores)
            normalise, scale = config.get("norm_topk_prob", self.kind.startswith("qwen3_5")), 1.0
        y = scale * self.weighted_experts(h, scores, choice, normalise,
                                          lambda number, x: self.expert(prefix, number, x))
        if prefix + "shared_experts.gate_proj.weight" in self.weights:
            y = y + self.mlp(prefix + "shared_experts.", h)
        if prefix + "shared_expert_gate.weight" in self.weights:
            gate = sigmoid(self.linear(prefix + "shared_expert_gate", h))
            y = y + gate * self.mlp(prefix + "shared_expert.", h)
        return y

    def minimax_experts(self, prefix, h):
        scores = sigmoid(self.linear(prefix + "gate", h))
        choice = scores + self.w(prefix + "e_score_correction_bias")

        def expert(number, x):
            name = f"{prefix}experts.{number}."
            return self.linear(name + "w2", silu(self.linear(name + "w1", x)) * self.linear(name + "w3", x))

        return self.weighted_experts(h, scores, choice, True, expert)

    def weighted_experts(self, h, scores, choice, normalise, expert):
        used = self.config["num_experts_per_tok"]
        y = np.zeros_like(h)
        for row in range(len(h)):
            order = np.argsort(-choice[row], kind="stable")
            best = order[:used]
            self.closest_choice = min(self.closest_choice, choice[row, order[used - 1]] - choice[row, order[used]])
            weights = scores[row, best]
            if normalise:
                weights = weights / weights.sum()
            for number, weight in zip(best, weights):
                y[row] += weight * expert(number, h[row : row + 1])[0]
        return y


def delta_rule(q, k, v, beta, decay):
    """Gated delta rule by its definition (https://arxiv.org/abs/2412.06464, equation 10), S [dk, dv]:
    S_t = decay_t (I - beta_t k_t k_t^T) S_{t-1} + beta_t k_t v_t^T and o_t = S_t^T q_t."""
    state = np.zeros((k.shape[1], v.shape[1]))
    out = np.empty_like(v)
    for t in range(len(q)):
        erase = np.eye(k.shape[1]) - beta[t] * np.outer(k[t], k[t])
        state = decay[t] * erase @ state + beta[t] * np.outer(k[t], v[t])
        out[t] = state.T @ q[t]
    return out


def plain_name(name):
    """Without the prefix that a language model has inside a larger one."""
    return name.replace("model.language_model.", "model.", 1)


def greedy(model, ids):
    """The tokens that follow, and the smallest lead of a winner over the second."""
    tokens, lead = [], math.inf
    for _ in range(GREEDY):
        last = model.logits(np.array(list(ids) + tokens))[-1]
        second, first = np.argsort(last)[-2:]
        lead = min(lead, last[first] - last[second])
        tokens.append(int(first))
    return tokens, lead


def check(folder):
    with open(os.path.join(folder, "config.json")) as file:
        config = json.load(file)
    golden = files.read_safetensors(os.path.join(folder, "golden.safetensors"))
    model = Model(config, files.read_model(folder))
    ids = golden["input_ids"]
    difference = np.abs(model.logits(ids) - golden["logits"]).max()
    tokens, lead = greedy(model, ids)
    same = tokens == golden["greedy"].tolist()
    print(f"{folder}: max difference {difference:.1e}, greedy tokens {'equal' if same else 'DIFFER'}, lead {lead:.1e}")


def main():
    import recipes

    if len(sys.argv) < 3 or sys.argv[1] not in ("make", "check"):
        sys.exit(__doc__)
    for name in sys.argv[2:]:
        if sys.argv[1] == "check":
            check(name)
        else:
            recipes.make(name)


if __name__ == "__main__":
    main()
