"""Makes the fixtures of the other packagings: GGUF and scaled fp8.

    python reference/weights.py tests/fixtures/weights --text tests/fixtures/text

`blocks.gguf` holds one small matrix of each block type, `blocks.safetensors`
what the Python package gguf makes of them. `text.gguf` (llama.cpp's names),
`mmproj.gguf` and `text_fp8.safetensors` (ComfyUI's form) are the model of
`reference/text.py` in other packagings; `expected.safetensors` and
`expected.json` hold what the reference computes from their dequantised weights.
"""

import argparse
import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLForConditionalGeneration

sys.path.insert(0, str(Path(__file__).parent))
from text import PROMPTS, make_pipeline

BLOCKS = [Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K]
# Bytes of a block that hold half precision factors; every other bit pattern is a valid block.
FACTORS = {Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}


def random_blocks(kind, rows, columns, rng):
    """Blocks of random bits with sane factors: gguf cannot quantise to the K types."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows, columns // block, size), dtype=np.uint8)
    for offset in FACTORS[kind]:
        factor = rng.uniform(-0.01, 0.01, (rows, columns // block, 1)).astype(np.float16)
        data[..., offset : offset + 2] = factor.view(np.uint8)
    return data.reshape(rows, -1)


def make_blocks(out):
    rng = np.random.default_rng(11)
    writer = gguf.GGUFWriter(out / "blocks.gguf", "qwen_image")
    expected = {}
    for kind in BLOCKS:
        if kind in FACTORS:
            data = random_blocks(kind, 6, 512, rng)
        else:
            data = gguf.quants.quantize(rng.standard_normal((6, 512)).astype(np.float32), kind)
        name = f"{kind.name.lower()}.weight"
        writer.add_tensor(name, data, raw_dtype=kind)
        expected[name] = torch.from_numpy(gguf.quants.dequantize(data, kind).copy())
    for kind, dtype in ((Type.F32, torch.float32), (Type.F16, torch.float16), (Type.BF16, torch.bfloat16)):
        values = torch.from_numpy(rng.standard_normal((6, 40)).astype(np.float32)).to(dtype)
        name = f"{kind.name.lower()}.weight"
        raw = values.view(torch.uint8).numpy() if kind == Type.BF16 else values.numpy()
        writer.add_tensor(name, raw, raw_dtype=kind)
        expected[name] = values.float()
    # A tensor whose rows do not hold whole blocks, flattened by the converter.
    flat = gguf.quants.quantize(rng.standard_normal((1, 96)).astype(np.float32), Type.Q8_0)
    writer.add_tensor("flat.weight", flat, raw_dtype=Type.Q8_0)
    writer.add_array("comfy.gguf.orig_shape.flat.weight", [6, 16])
    expected["flat.weight"] = torch.from_numpy(gguf.quants.dequantize(flat, Type.Q8_0).reshape(6, 16).copy())
    write(writer)
    save_file(expected, out / "blocks.safetensors")


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add(writer, name, values, kind):
    """Writes `values` as `kind` and gives back what a reader gets from it."""
    values = values.float().numpy()
    if values.ndim == 1:
        kind = Type.F32
    elif kind not in (Type.F16, Type.F32) and values.shape[-1] % 32:
        kind = Type.F16
    if kind in (Type.F16, Type.F32):
        stored = values.astype(np.float16 if kind == Type.F16 else np.float32)
        writer.add_tensor(name, stored)
        return torch.from_numpy(stored.astype(np.float32))
    stored = gguf.quants.quantize(values, kind)
    writer.add_tensor(name, stored, raw_dtype=kind)
    return torch.from_numpy(gguf.quants.dequantize(stored, kind).copy())


def published(state):
    """The older published names."""
    return {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): tensor
        for name, tensor in state.items()
    }


TEXT_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
TEXT_KINDS = {"attn_q": Type.Q4_0, "attn_k": Type.Q4_1, "attn_v": Type.Q8_0, "attn_output": Type.Q5_0, "ffn_down": Type.Q5_1}


def make_text_gguf(out, state):
    writer = gguf.GGUFWriter(out / "text.gguf", "qwen2vl")
    writer.add_block_count(3)
    writer.add_token_list(["a", "b", "c"])
    whole = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    whole["lm_head.weight"] = "output.weight"
    result = {}
    for name, tensor in state.items():
        if name.startswith("visual."):
            continue
        if name in whole:
            result[name] = add(writer, whole[name], tensor, Type.Q8_0)
            continue
        layer, module = name.removeprefix("model.layers.").split(".", 1)
        module, kind = module.rsplit(".", 1)
        module = TEXT_NAMES[module]
        result[name] = add(writer, f"blk.{layer}.{module}.{kind}", tensor, TEXT_KINDS.get(module, Type.Q8_0))
    write(writer)
    return result


VISION_NAMES = {
    "attn.proj": "attn_out", "norm1": "ln1", "norm2": "ln2", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}  # fmt: skip


def make_mmproj(out, state):
    writer = gguf.GGUFWriter(out / "mmproj.gguf", "clip")
    writer.add_string("clip.projector_type", "qwen2.5vl_merger")
    result = {}
    for name, tensor in state.items():
        if not name.startswith("visual."):
            continue
        part = name.removeprefix("visual.")
        if part == "patch_embed.proj.weight":
            slices = [add(writer, f"v.patch_embd.weight{end}", tensor[:, :, i], Type.F16) for i, end in enumerate(["", ".1"])]
            result[name] = torch.stack(slices, 2)
        elif part.startswith("merger."):
            target = part.replace("merger.ln_q", "v.post_ln").replace("merger.mlp", "mm")
            result[name] = add(writer, target, tensor, Type.F16)
        elif ".attn.qkv." in part:
            block, kind = part.split(".")[1], part.rsplit(".", 1)[1]
            pieces = [
                add(writer, f"v.blk.{block}.attn_{letter}.{kind}", piece, Type.Q8_0)
                for letter, piece in zip("qkv", tensor.chunk(3))
            ]
            result[name] = torch.cat(pieces)
        else:
            _, block, module = part.split(".", 2)
            module, kind = module.rsplit(".", 1)
            result[name] = add(writer, f"v.blk.{block}.{VISION_NAMES[module]}.{kind}", tensor, Type.Q8_0)
    write(writer)
    return result


def make_fp8(out, state):
    """Scaled fp8 as in ComfyUI's `qwen_2.5_vl_7b_fp8_scaled.safetensors`."""
    stored, result = {"scaled_fp8": torch.zeros(0, dtype=torch.float8_e4m3fn)}, {}
    for name, tensor in state.items():
        tensor = tensor.float()
        linear = tensor.ndim == 2 and ("proj" in name or "qkv" in name or "mlp" in name)
        if not linear:
            stored[name] = tensor.bfloat16()
            result[name] = tensor.bfloat16().float()
            continue
        scale = tensor.abs().max() / 448
        values = (tensor / scale).to(torch.float8_e4m3fn)
        layer = name.removesuffix(".weight")
        stored |= {name: values, f"{layer}.scale_weight": scale, f"{layer}.scale_input": torch.ones(())}
        result[name] = values.float() * scale
    save_file(stored, out / "text_fp8.safetensors")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--text", type=Path, required=True)
    arguments = parser.parse_args()
    out, text = arguments.out, arguments.text
    out.mkdir(parents=True, exist_ok=True)
    make_blocks(out)
    folder = text / "model"
    state = published(load_file(folder / "text_encoder" / "model.safetensors"))
    variants = {"gguf": make_text_gguf(out, state) | make_mmproj(out, state), "fp8": make_fp8(out, state)}
    tensors, expected = {}, {}
    for variant, weights in variants.items():
        assert weights.keys() == state.keys()
        model = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        own = {name: weights[old] for name, old in zip(model.state_dict(), published(model.state_dict()))}
        model.load_state_dict(own)
        pipe = make_pipeline(model.eval(), folder)
        with torch.no_grad():
            tensors[variant] = pipe.encode_prompt(PROMPTS["english"])[0].contiguous()
        image = Image.open(text / "english.png").convert("RGB")
        expected[variant] = pipe.get_image_caption(image, use_en_prompt=True, device="cpu")
    save_file(tensors, out / "expected.safetensors")
    (out / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1), encoding="utf8")


if __name__ == "__main__":
    main()
