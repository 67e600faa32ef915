"""Golden logits by Hugging Face transformers: tiny random models of architectures without a published fixture.

Each model is a published model class with a small configuration and random weights, run in float64 (the places
where transformers asks for float32 by name are given float64). The weights are written as GGUF converters write
them: which tensors are permuted, split, transposed or have 1 added is stated where it happens.

    pip install torch transformers gguf;  python3 tests/data/make_transformers_golden.py [NAME ...]

Writes tests/data/arch/NAME.gguf and NAME.logits.f32 for the ids of tokens.i32, and for Gemma 3 the last logits of a
long text (NAME-long.tokens.i32, NAME-long.logits.f32). Made with transformers 5.23.
"""

import pathlib
import sys

import gguf
import numpy as np
import torch
import transformers

FOLDER = pathlib.Path(__file__).parent / "arch"
VOCABULARY = 512


def exactly(model_class, config, seed):
    """The model in float64 with random weights that float32 holds exactly."""
    config._attn_implementation = config._experts_implementation = "eager"
    model = model_class(config)
    random = np.random.default_rng(seed)
    for name, value in sorted(model.state_dict().items()):
        if not value.is_floating_point() or "inv_freq" in name:
            continue
        if value.dim() == 1:
            spread, mean = (0.2, 0.0) if "bias" in name else (0.3, 1.0)
        else:
            spread, mean = 1.2 / value.shape[-1] ** 0.5, 0.0
        data = random.normal(mean, spread, value.shape).astype(np.float32)
        value.copy_(torch.from_numpy(data.astype(np.float64)))
    return model.double().eval()


def logits(model, tokens):
    with torch.no_grad():
        out = model(torch.from_numpy(tokens.astype(np.int64))[None], use_cache=False)
    assert out.logits.dtype == torch.float64, out.logits.dtype
    return out.logits[0].numpy()


class Writer:
    def __init__(self, name, architecture, config):
        self.out = gguf.GGUFWriter(FOLDER / f"{name}.gguf", architecture)
        self.architecture = architecture
        self.out.add_name(name)
        self.integer("context_length", config.max_position_embeddings)
        self.integer("embedding_length", config.hidden_size)
        self.integer("block_count", config.num_hidden_layers)
        self.integer("feed_forward_length", config.intermediate_size)
        self.integer("attention.head_count", config.num_attention_heads)
        self.integer("attention.head_count_kv", config.num_key_value_heads)
        self.real("attention.layer_norm_rms_epsilon", config.rms_norm_eps)

    def integer(self, key, value):
        self.out.add_uint32(f"{self.architecture}.{key}", value)

    def real(self, key, value):
        self.out.add_float32(f"{self.architecture}.{key}", value)

    def text(self, key, value):
        self.out.add_string(f"{self.architecture}.{key}", value)

    def truth(self, key, value):
        self.out.add_bool(f"{self.architecture}.{key}", value)

    def tensor(self, name, value):
        self.out.add_tensor(name, np.ascontiguousarray(np.asarray(value), dtype=np.float32))

    def close(self):
        self.out.write_header_to_file()
        self.out.write_kv_data_to_file()
        self.out.write_tensors_to_file()
        self.out.close()


def weights_of(model):
    return {name: value.numpy() for name, value in model.state_dict().items()}


def save(name, model, tokens, suffix=""):
    logits(model, tokens).astype(np.float32).tofile(FOLDER / f"{name}{suffix}.logits.f32")


def norm_pairs(weight, heads):
    """Rows of q or k reordered so that neighbours turn together, where the model turns halves of a head."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def plain_layer(w, weights, i, names):
    for ours, theirs in names.items():
        w.tensor(f"blk.{i}.{ours}.weight", weights[f"model.layers.{i}.{theirs}.weight"])


def granite(name, tokens):
    config = transformers.GraniteConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, embedding_multiplier=6.0,
        logits_scaling=3.0, residual_multiplier=0.22, attention_multiplier=0.11)
    model = exactly(transformers.GraniteForCausalLM, config, 1)
    weights = weights_of(model)
    w = Writer(name, "granite", config)
    w.integer("rope.dimension_count", 16)
    w.real("rope.freq_base", 10000.0)
    w.real("embedding_scale", config.embedding_multiplier)
    w.real("logit_scale", config.logits_scaling)
    w.real("residual_scale", config.residual_multiplier)
    w.real("attention.scale", config.attention_multiplier)
    w.tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    w.tensor("output_norm.weight", weights["model.norm.weight"])
    for i in range(config.num_hidden_layers):
        for part, heads in (("q", 4), ("k", 2)):
            source = weights[f"model.layers.{i}.self_attn.{part}_proj.weight"]
            w.tensor(f"blk.{i}.attn_{part}.weight", norm_pairs(source, heads))
        plain_layer(w, weights, i, {
            "attn_norm": "input_layernorm", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
            "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
            "ffn_down": "mlp.down_proj"})
    w.close()
    save(name, model, tokens)


def gemma3(name, tokens, **sizes):
    config = transformers.Gemma3TextConfig(
        vocab_size=VOCABULARY, max_position_embeddings=512, rms_norm_eps=1e-6, tie_word_embeddings=True,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "rope_theta": 1000000.0, "factor": 8.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}},
        **sizes)
    assert [kind == "full_attention" for kind in config.layer_types] == [
        i % 6 == 5 for i in range(config.num_hidden_layers)]
    model = exactly(transformers.Gemma3ForCausalLM, config, 2)
    weights = weights_of(model)
    for key, value in weights.items():
        if "norm" in key:
            # The model adds 1 to them, and the file holds the sum. Small norms behind the blocks and of q keep the
            # many layers from amplifying roundings. The state dict shares its memory with the model.
            factor = 0.15 if "post_" in key else 0.7 if "q_norm" in key else 1.2
            value[:] = (factor * value).astype(np.float32).astype(np.float64) - 1
    model.model.embed_tokens.embed_scale = torch.tensor(config.hidden_size**0.5, dtype=torch.float64)
    if hasattr(model.model.embed_tokens, "scalar_embed_scale"):
        model.model.embed_tokens.scalar_embed_scale = config.hidden_size**0.5
    w = Writer(name, "gemma3", config)
    w.integer("attention.key_length", config.head_dim)
    w.integer("attention.value_length", config.head_dim)
    w.integer("attention.sliding_window", config.sliding_window)
    w.real("rope.freq_base", 1000000.0)
    w.text("rope.scaling.type", "linear")
    w.real("rope.scaling.factor", 8.0)
    w.tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    w.tensor("output_norm.weight", weights["model.norm.weight"] + 1)
    for i in range(config.num_hidden_layers):
        plain_layer(w, weights, i, {
            "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
            "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
            "ffn_down": "mlp.down_proj"})
        for ours, theirs in {
                "attn_norm": "input_layernorm", "post_attention_norm": "post_attention_layernorm",
                "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
                "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}.items():
            w.tensor(f"blk.{i}.{ours}.weight", weights[f"model.layers.{i}.{theirs}.weight"] + 1)
    w.close()
    save(name, model, tokens)
    if config.num_hidden_layers < 62:
        # Many windows long, so that what the windows have left is given back: the last rows of 400.
        ids = tokens[np.arange(400) * 7 % len(tokens)]
        ids.tofile(FOLDER / f"{name}-long.tokens.i32")
        logits(model, ids)[-8:].astype(np.float32).tofile(FOLDER / f"{name}-long.logits.f32")


def phi3(name, tokens):
    random = np.random.default_rng(3)
    size, original, most = 16, 32, 128
    turned = 12  # of 16 columns of a head: a partial rotary factor of 0.75, as Phi-4-mini has
    short, long = (random.uniform(low, high, turned // 2).astype(np.float32).tolist()
                   for low, high in ((1, 1.3), (1, 20)))
    config = transformers.Phi3Config(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=most, original_max_position_embeddings=original,
        rms_norm_eps=1e-5, tie_word_embeddings=False, sliding_window=20, pad_token_id=None, bos_token_id=1,
        eos_token_id=2,
        rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, "partial_rotary_factor": turned / size,
                         "short_factor": short, "long_factor": long,
                         "original_max_position_embeddings": original, "factor": most / original})
    model = exactly(transformers.Phi3ForCausalLM, config, 3)
    weights = weights_of(model)
    w = Writer(name, "phi3", config)
    w.integer("rope.dimension_count", turned)
    w.real("rope.freq_base", 10000.0)
    w.integer("rope.scaling.original_context_length", original)
    factor = model.model.rotary_emb.attention_scaling
    assert abs(factor - (1 + np.log(most / original) / np.log(original)) ** 0.5) < 1e-12
    w.real("rope.scaling.attn_factor", factor)
    w.integer("attention.sliding_window", config.sliding_window)
    w.tensor("rope_factors_short.weight", short)
    w.tensor("rope_factors_long.weight", long)
    w.tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    w.tensor("output.weight", weights["lm_head.weight"])
    w.tensor("output_norm.weight", weights["model.norm.weight"])
    for i in range(config.num_hidden_layers):
        plain_layer(w, weights, i, {
            "attn_norm": "input_layernorm", "attn_qkv": "self_attn.qkv_proj", "attn_output": "self_attn.o_proj",
            "ffn_norm": "post_attention_layernorm", "ffn_up": "mlp.gate_up_proj", "ffn_down": "mlp.down_proj"})
    w.close()
    save(name, model, tokens)  # 48 positions: beyond the original context, so the long factors
    save(name, model, tokens[:original], "-short")


def deepseek3(name, tokens, split):
    layers, dense, heads, nope, rope, size, latent = 4, 1, 4, 24, 8, 16, 40
    factor, original = 20.0, 32
    config = transformers.DeepseekV3Config(
        vocab_size=VOCABULARY, hidden_size=48, intermediate_size=80, moe_intermediate_size=24,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads, n_shared_experts=1,
        n_routed_experts=8, routed_scaling_factor=1.7, kv_lora_rank=latent, q_lora_rank=28, qk_rope_head_dim=rope,
        v_head_dim=size, qk_nope_head_dim=nope, n_group=1, topk_group=1, num_experts_per_tok=3,
        first_k_dense_replace=dense, norm_topk_prob=True, max_position_embeddings=640, rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "yarn", "rope_theta": 10000.0, "factor": factor, "mscale": 1.0,
                         "mscale_all_dim": 1.0, "original_max_position_embeddings": original, "beta_fast": 32,
                         "beta_slow": 1})
    model = exactly(transformers.DeepseekV3ForCausalLM, config, 4)
    weights = weights_of(model)
    w = Writer(name, "deepseek2", config)
    if split:
        w.out.kv_data[0].pop("deepseek2.attention.head_count_kv")
        w.integer("attention.head_count_kv", 1)
        w.integer("attention.key_length", latent + rope)
        w.integer("attention.value_length", latent)
        w.integer("attention.key_length_mla", nope + rope)
        w.integer("attention.value_length_mla", size)
    else:
        w.integer("attention.key_length", nope + rope)
        w.integer("attention.value_length", size)
    w.integer("attention.q_lora_rank", 28)
    w.integer("attention.kv_lora_rank", latent)
    w.integer("rope.dimension_count", rope)
    w.real("rope.freq_base", 10000.0)
    w.text("rope.scaling.type", "yarn")
    w.real("rope.scaling.factor", factor)
    w.integer("rope.scaling.original_context_length", original)
    w.real("rope.scaling.yarn_log_multiplier", 0.1)
    w.integer("leading_dense_block_count", dense)
    w.integer("expert_count", 8)
    w.integer("expert_used_count", 3)
    w.integer("expert_shared_count", 1)
    w.integer("expert_feed_forward_length", 24)
    w.integer("expert_gating_func", 2)  # sigmoid
    w.real("expert_weights_scale", 1.7)
    w.truth("expert_weights_norm", True)
    w.tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    w.tensor("output.weight", weights["lm_head.weight"])
    w.tensor("output_norm.weight", weights["model.norm.weight"])
    for i in range(layers):
        plain_layer(w, weights, i, {
            "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q_a": "self_attn.q_a_proj",
            "attn_q_a_norm": "self_attn.q_a_layernorm", "attn_q_b": "self_attn.q_b_proj",
            "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa", "attn_kv_a_norm": "self_attn.kv_a_layernorm",
            "attn_output": "self_attn.o_proj"})
        kv_b = weights[f"model.layers.{i}.self_attn.kv_b_proj.weight"]
        if split:
            by_head = kv_b.reshape(heads, nope + size, latent)
            w.tensor(f"blk.{i}.attn_k_b.weight", by_head[:, :nope].swapaxes(1, 2))
            w.tensor(f"blk.{i}.attn_v_b.weight", by_head[:, nope:])
        else:
            w.tensor(f"blk.{i}.attn_kv_b.weight", kv_b)
        mlp = f"model.layers.{i}.mlp"
        if i < dense:
            plain_layer(w, weights, i, {
                "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"})
            continue
        w.tensor(f"blk.{i}.exp_probs_b.bias", weights[f"{mlp}.gate.e_score_correction_bias"])
        expert_layer(w, mlp, i, weights, 24)
        for part in ("gate", "up", "down"):
            w.tensor(f"blk.{i}.ffn_{part}_shexp.weight", weights[f"{mlp}.shared_experts.{part}_proj.weight"])
    w.close()
    save(name, model, tokens)


def decide(weights):
    """Spreads the routers' logits, so that few positions sit near a tie, where any rounding flips an expert."""
    for key, value in weights.items():
        if key.endswith("mlp.gate.weight"):
            value *= 4  # exact; the state dict shares its memory with the model


def expert_layer(w, mlp, i, weights, size):
    w.tensor(f"blk.{i}.ffn_gate_inp.weight", weights[f"{mlp}.gate.weight"])
    gate_up = weights[f"{mlp}.experts.gate_up_proj"]  # [expert, gate over up, hidden]
    w.tensor(f"blk.{i}.ffn_gate_exps.weight", gate_up[:, :size])
    w.tensor(f"blk.{i}.ffn_up_exps.weight", gate_up[:, size:])
    w.tensor(f"blk.{i}.ffn_down_exps.weight", weights[f"{mlp}.experts.down_proj"])


def mixtral(name, tokens):
    config = transformers.MixtralConfig(
        vocab_size=VOCABULARY, hidden_size=48, intermediate_size=32, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, num_local_experts=8,
        num_experts_per_tok=2, sliding_window=None, tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    model = exactly(transformers.MixtralForCausalLM, config, 5)
    weights = weights_of(model)
    decide(weights)
    w = Writer(name, "llama", config)
    w.integer("rope.dimension_count", 12)
    w.real("rope.freq_base", 1000000.0)
    w.integer("expert_count", 8)
    w.integer("expert_used_count", 2)
    w.tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    w.tensor("output.weight", weights["lm_head.weight"])
    w.tensor("output_norm.weight", weights["model.norm.weight"])
    for i in range(config.num_hidden_layers):
        for part, heads in (("q", 4), ("k", 2)):
            source = weights[f"model.layers.{i}.self_attn.{part}_proj.weight"]
            w.tensor(f"blk.{i}.attn_{part}.weight", norm_pairs(source, heads))
        plain_layer(w, weights, i, {
            "attn_norm": "input_layernorm", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
            "ffn_norm": "post_attention_layernorm"})
        expert_layer(w, f"model.layers.{i}.mlp", i, weights, 32)
    w.close()
    save(name, model, tokens)


def qwen2moe(name, tokens):
    config = transformers.Qwen2MoeConfig(
        vocab_size=VOCABULARY, hidden_size=48, intermediate_size=112, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=4, max_position_embeddings=128, rms_norm_eps=1e-6, moe_intermediate_size=24,
        shared_expert_intermediate_size=80, num_experts=6, num_experts_per_tok=3, norm_topk_prob=False,
        decoder_sparse_step=1, mlp_only_layers=[], use_sliding_window=False, qkv_bias=True,
        tie_word_embeddings=False, rope_parameters={"rope_type": "default", "rope_theta": 1000000.0})
    model = exactly(transformers.Qwen2MoeForCausalLM, config, 6)
    weights = weights_of(model)
    decide(weights)
    w = Writer(name, "qwen2moe", config)
    w.real("rope.freq_base", 1000000.0)
    w.integer("expert_count", 6)
    w.integer("expert_used_count", 3)
    w.integer("expert_feed_forward_length", 24)
    w.integer("expert_shared_feed_forward_length", 80)
    w.tensor("token_embd.weight", weights["model.embed_tokens.weight"])
    w.tensor("output.weight", weights["lm_head.weight"])
    w.tensor("output_norm.weight", weights["model.norm.weight"])
    for i in range(config.num_hidden_layers):
        plain_layer(w, weights, i, {
            "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
            "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm"})
        for part in "qkv":
            w.tensor(f"blk.{i}.attn_{part}.bias", weights[f"model.layers.{i}.self_attn.{part}_proj.bias"])
        mlp = f"model.layers.{i}.mlp"
        expert_layer(w, mlp, i, weights, 24)
        w.tensor(f"blk.{i}.ffn_gate_inp_shexp.weight", weights[f"{mlp}.shared_expert_gate.weight"].reshape(-1))
        for part in ("gate", "up", "down"):
            w.tensor(f"blk.{i}.ffn_{part}_shexp.weight", weights[f"{mlp}.shared_expert.{part}_proj.weight"])
    w.close()
    save(name, model, tokens)


MODELS = {
    "granite": granite,
    "gemma3": lambda name, tokens: gemma3(
        name, tokens, hidden_size=48, intermediate_size=64, num_hidden_layers=7, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, query_pre_attn_scalar=16, sliding_window=13),
    # 62 layers are how a file says that it is the 27B, whose scores are scaled by hidden size / heads.
    "gemma3-62-layers": lambda name, tokens: gemma3(
        name, tokens, hidden_size=16, intermediate_size=16, num_hidden_layers=62, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=8, sliding_window=13),
    "phi3": phi3,
    "deepseek3": lambda name, tokens: deepseek3(name, tokens, split=False),
    "mixtral": mixtral,
    "qwen2moe": qwen2moe,
    "deepseek3-split": lambda name, tokens: deepseek3(name, tokens, split=True),
}


def main():
    torch.set_default_dtype(torch.float64)
    torch.float32 = torch.float = torch.float64  # what the model classes ask for by name
    torch.Tensor.float = torch.Tensor.double
    tokens = np.fromfile(FOLDER / "tokens.i32", np.int32)
    for name in sys.argv[1:] or MODELS:
        MODELS[name](name, tokens)
        print(name, "done")


if __name__ == "__main__":
    main()
