"""model.pt and tok.json -> GGUF: matrices in F16, norms and biases in F32.

Needs the `gguf` package, which writes the file independently of Ingot's own writer. Parameters carry
GGUF's tensor names already (model.py), so a tensor's name here is its name there.
"""

import argparse
import json
import pathlib

import gguf
import numpy as np
import torch

import model

GGUF_NORMAL_TOKEN = 1
GGUF_CONTROL_TOKEN = 3
GGUF_FILE_TYPE_MOSTLY_F16 = 1
FIM_KEYS = {
    "fim_pre": "<|fim_prefix|>",
    "fim_suf": "<|fim_suffix|>",
    "fim_mid": "<|fim_middle|>",
    "fim_pad": "<|fim_pad|>",
    "fim_rep": "<|repo_name|>",
    "fim_sep": "<|file_sep|>",
}


def add_model_keys(writer: gguf.GGUFWriter, layer_count: int, vocabulary_size: int) -> None:
    writer.add_name("ingot-nano-code")
    writer.add_description("7.3M-parameter Python code model with fill-in-the-middle")
    writer.add_license("Apache-2.0")
    writer.add_context_length(model.CONTEXT_LENGTH)
    writer.add_embedding_length(model.HIDDEN_SIZE)
    writer.add_block_count(layer_count)
    writer.add_feed_forward_length(model.FEED_FORWARD_SIZE)
    writer.add_head_count(model.HEAD_COUNT)
    writer.add_head_count_kv(model.KV_HEAD_COUNT)
    writer.add_rope_freq_base(model.ROPE_BASE)
    writer.add_layer_norm_rms_eps(model.NORM_EPSILON)
    writer.add_file_type(GGUF_FILE_TYPE_MOSTLY_F16)
    writer.add_vocab_size(vocabulary_size)


def add_tokenizer_keys(writer: gguf.GGUFWriter, tokenizer: dict) -> None:
    tokens, specials = tokenizer["tokens"], tokenizer["specials"]
    ordinary_count = len(tokens) - len(specials)
    ids = {special: ordinary_count + i for i, special in enumerate(specials)}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [GGUF_NORMAL_TOKEN] * ordinary_count + [GGUF_CONTROL_TOKEN] * len(specials)
    )
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["merges"]])
    writer.add_eos_token_id(ids["<|endoftext|>"])
    writer.add_bos_token_id(ids["<|endoftext|>"])
    writer.add_pad_token_id(ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    for key, special in FIM_KEYS.items():
        writer.add_uint32(f"tokenizer.ggml.{key}_token_id", ids[special])


# The order in which a layer's tensors lie in the file: about the order in which they are read.
LAYER_TENSORS = (
    ["attn_norm.weight", "ffn_norm.weight"]
    + [f"attn_{part}.{kind}" for part in "qkv" for kind in ("weight", "bias")]
    + ["attn_output.weight", "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"]
)


def add_tensors(writer: gguf.GGUFWriter, state: dict, layer_count: int) -> None:
    def add(name: str, parameter: str) -> None:
        values = state[parameter].float().numpy()
        writer.add_tensor(name, values.astype(np.float16 if values.ndim == 2 else np.float32))

    add("token_embd.weight", "token_embd")
    add("output_norm.weight", "output_norm.weight")
    for layer in range(layer_count):
        for tensor in LAYER_TENSORS:
            add(f"blk.{layer}.{tensor}", f"blk.{layer}.{tensor}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", help="the GGUF file to write")
    parser.add_argument("--model", default="model.pt", help="train.py's output")
    parser.add_argument("--tokenizer", type=pathlib.Path, default=pathlib.Path("tok.json"))
    arguments = parser.parse_args()

    state = torch.load(arguments.model, map_location="cpu", weights_only=True)
    tokenizer = json.loads(arguments.tokenizer.read_text())
    layer_count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blk."))

    writer = gguf.GGUFWriter(arguments.out, "qwen2")
    add_model_keys(writer, layer_count, len(tokenizer["tokens"]))
    add_tokenizer_keys(writer, tokenizer)
    add_tensors(writer, state, layer_count)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()
