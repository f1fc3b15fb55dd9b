"""Makes the fixtures of the text side with the reference implementation.

    python reference/text.py tests/fixtures/text --vocabulary qwen.tiktoken

writes a tiny random Qwen2.5-VL with a reduced tokenizer in the published
layout (`model/`) and what `QwenImageLayeredPipeline` makes of prompts and
pictures with it (`expected.safetensors`, `expected.json`). With `--wide` and
another folder it does so at the published widths; `QWEN_TEXT_REFERENCE=folder
cargo test -p qwen-image-layered text::` checks that. The vocabulary is
Qwen's (`resources/qwen.tiktoken` of the PyPI package dashscope); only the byte
pairs that the test texts need are kept, which tokenises them identically.

Versions: torch 2.11.0, torchvision 0.26.0, diffusers 0.42.1, transformers 5.23.0.
"""

import argparse
import base64
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers import QwenImageLayeredPipeline
from PIL import Image
from safetensors.torch import save_file
from transformers import (
    GenerationConfig,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>",
    "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>", "<|vision_end|>", "<|vision_pad|>",
    "<|image_pad|>", "<|video_pad|>",
]  # fmt: skip

PROMPTS = {
    "english": "A summer sale poster: \"50% OFF\" in bold red letters, a beach umbrella, 3 palm trees and the sea.",
    "chinese": "一张夏季促销海报，红色粗体大字“五折”，沙滩上有一把太阳伞，背景是大海和蓝天。",
    "korean": "여름 세일 포스터: 빨간 글씨로 '50% 할인', 해변의 파라솔과 야자수, 그리고 푸른 바다.",
    "mixed": "  Caf\u00e9 Cafe\u0301 \u2014 don't stop!\r\n\n\tTab, 1234567 & emoji \U0001f3d6\ufe0f <|im_end|> \u3000 ",
    "space": " ",
    "long": "Layer after layer, the poster shows a red kite, a blue boat and 12 white gulls. " * 40,
}


def byte_letters():
    """The printable stand-in of each byte in a byte-level vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    letters.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return letters


LETTERS = byte_letters()


def spell(token):
    return "".join(LETTERS[byte] for byte in token)


def merge(ranks, token, below):
    """Byte pair encoding of `token` with the pairs ranked below `below`."""
    parts = [bytes([byte]) for byte in token]
    while True:
        pairs = [(ranks.get(a + b, below), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
        rank, i = min(pairs, default=(below, 0))
        if rank >= below:
            return parts
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def full_tokenizer(path):
    ranks = {}
    for line in Path(path).read_bytes().splitlines():
        token, rank = line.split()
        ranks[base64.b64decode(token)] = int(rank)
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) > 1:
            left, right = merge(ranks, token, rank)
            merges.append((left, right))
    vocab = {spell(token): rank for token, rank in ranks.items()}
    return vocab, [(spell(a), spell(b)) for a, b in merges]


def make_tokenizer(vocab, merges):
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=merges)
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL})
    for i, token in enumerate(SPECIAL):
        assert tokenizer.convert_tokens_to_ids(token) == len(vocab) + i, token
    return tokenizer


def reduced(vocab, merges, texts):
    """The part of the vocabulary that tokenising `texts` goes through."""
    ranks = {pair: i for i, pair in enumerate(merges)}
    full = make_tokenizer(vocab, merges)
    keep = {letter for letter in LETTERS.values()}
    used = set()
    for text in texts:
        normal = full.backend_tokenizer.normalizer.normalize_str(text)
        for piece, _ in full.backend_tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            parts = list(piece)
            while True:
                pairs = [(ranks.get(pair, len(ranks)), i) for i, pair in enumerate(zip(parts, parts[1:]))]
                rank, i = min(pairs, default=(len(ranks), 0))
                if rank == len(ranks):
                    break
                used.add(merges[rank])
                parts[i : i + 2] = [parts[i] + parts[i + 1]]
                keep.add(parts[i])
    small = {token: i for i, token in enumerate(sorted(keep, key=lambda token: vocab[token]))}
    return full, small, sorted(used, key=lambda pair: ranks[pair])


def write_tokenizer(folder, vocab, merges):
    """The published form of older files: vocab.json, merges.txt and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf8")
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    added = {str(len(vocab) + i): {"content": token, **flags} for i, token in enumerate(SPECIAL)}
    config = {
        "added_tokens_decoder": added,
        "additional_special_tokens": SPECIAL[1:],
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "tokenizer_class": "Qwen2Tokenizer",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1), encoding="utf8")


# A small model with the real one's structure: grouped queries, three rotary sections, windows.
TINY = (
    dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2),
    [2, 3, 3],
    dict(depth=3, hidden_size=32, intermediate_size=48, num_heads=2, out_hidden_size=64, fullatt_block_indexes=[1]),
)
# Two layers of the published model.
WIDE = (
    dict(hidden_size=3584, intermediate_size=18944, num_hidden_layers=2, num_attention_heads=28, num_key_value_heads=4),
    [16, 24, 24],
    dict(depth=2, hidden_size=1280, intermediate_size=3420, num_heads=16, out_hidden_size=3584, fullatt_block_indexes=[1]),
)


def make_model(vocab_size, first_special, seed, sizes):
    text, mrope_section, vision = sizes
    special = {token: first_special + i for i, token in enumerate(SPECIAL)}
    config = Qwen2_5_VLConfig(
        text_config=dict(
            **text, vocab_size=vocab_size, rms_norm_eps=1e-6, max_position_embeddings=4096, hidden_act="silu",
            rope_parameters=dict(rope_type="default", rope_theta=1e6, mrope_section=mrope_section),
            bos_token_id=special["<|endoftext|>"], eos_token_id=special["<|im_end|>"],
        ),
        vision_config=dict(
            **vision, patch_size=14, spatial_merge_size=2, temporal_patch_size=2, window_size=112, hidden_act="silu",
        ),
        image_token_id=special["<|image_pad|>"], video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"], vision_end_token_id=special["<|vision_end|>"],
    )  # fmt: skip
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.named_parameters():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim > 1:
            noise = noise * (0.5 if "embed" in name else 1.2 / tensor[0].numel() ** 0.5)
        else:
            # Norms away from 1 and biases away from 0, or half the mistakes stay invisible.
            noise = noise * 0.2 + (1.0 if "norm" in name or "ln_q" in name else 0.0)
        # Values that bfloat16 holds, so that the file is small and both types start equal.
        tensor.data = noise.bfloat16().float()
    model.generation_config = GenerationConfig(
        do_sample=False, repetition_penalty=1.05, bos_token_id=special["<|endoftext|>"],
        pad_token_id=special["<|endoftext|>"], eos_token_id=[special["<|im_end|>"], special["<|endoftext|>"]],
    )  # fmt: skip
    return model


def picture(width, height, alpha, seed):
    """A picture of soft gradients and hard edges, with 8-bit values."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    channels = []
    for _ in range(4):
        fx, fy, phase = rng.uniform(0.01, 0.2, 3)
        channels.append(127.5 + 127.5 * np.sin(x * fx + y * fy + phase * 30))
    values = np.stack(channels, -1)
    values[(x // 23 + y // 17) % 3 == 0] = [250, 20, 60, 255]
    if not alpha:
        values = values[..., :3]
    return Image.fromarray(values.round().astype(np.uint8))


def make_pipeline(model, folder):
    tokenizer = Qwen2Tokenizer.from_pretrained(folder / "tokenizer")
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=56 * 56, max_pixels=28 * 28 * 1280),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
    )
    return QwenImageLayeredPipeline(
        scheduler=None, vae=None, text_encoder=model, tokenizer=tokenizer, processor=processor, transformer=None
    )


def captions(pipe):
    """Captions, and how far the chosen token was from the next best (in logits)."""
    found = {}
    for name, size, alpha, english in [
        ("english", (160, 96), False, True),
        ("chinese", (96, 160), False, False),
        ("transparent", (128, 128), True, True),
        ("tiny", (33, 20), True, False),
    ]:
        image = picture(*size, alpha, seed=len(name))
        gaps = []

        def watch(_, __, output):
            top = output.logits[0, -1].float().topk(2).values
            gaps.append(float(top[0] - top[1]))

        hook = pipe.text_encoder.register_forward_hook(watch)
        text = pipe.get_image_caption(image, use_en_prompt=english, device="cpu")
        hook.remove()
        found[name] = {"size": size, "alpha": alpha, "english": english, "text": text, "tokens": len(gaps)}
        print(name, len(gaps), "tokens, smallest gap", min(gaps))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--vocabulary", required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--wide", action="store_true", help="two layers at the published widths (1 GB)")
    arguments = parser.parse_args()
    out, folder = arguments.out, arguments.out / "model"
    shutil.rmtree(out, ignore_errors=True)

    bare = QwenImageLayeredPipeline(*[None] * 6)
    texts = [bare.prompt_template_encode.format(prompt) for prompt in PROMPTS.values()]
    texts += [bare.image_caption_prompt_en, bare.image_caption_prompt_cn]
    full, vocab, merges = reduced(*full_tokenizer(arguments.vocabulary), texts)
    assert len(full(texts[0].split('A summer')[0]).input_ids) == bare.prompt_template_encode_start_idx == 34
    write_tokenizer(folder / "tokenizer", vocab, merges)
    small = Qwen2Tokenizer.from_pretrained(folder / "tokenizer")
    for text in texts:
        a, b = full.tokenize(text), small.tokenize(text)
        assert a == b, (a, b)
    print(len(vocab), "tokens kept, all texts tokenise as with the full vocabulary")

    # The real model's table is longer than its vocabulary too.
    model = make_model((len(vocab) + len(SPECIAL) + 31) // 32 * 32, len(vocab), arguments.seed, WIDE if arguments.wide else TINY)
    model.bfloat16().save_pretrained(folder / "text_encoder")
    # Loaded again, because casting a model rounds its rotary frequencies too.
    load = lambda dtype: Qwen2_5_VLForConditionalGeneration.from_pretrained(folder / "text_encoder", dtype=dtype).eval()
    model, narrow_model = load(torch.float32), load(torch.bfloat16)
    pipe = make_pipeline(model, folder)
    pipe.vl_processor.image_processor.save_pretrained(folder / "processor")

    tensors, expected = {}, {"prompts": {}, "captions": captions(pipe), "smart_resize": []}
    for name, prompt in PROMPTS.items():
        ids = pipe.tokenizer(texts[list(PROMPTS).index(name)]).input_ids
        expected["prompts"][name] = {"text": prompt, "ids": ids}
        with torch.no_grad():
            wide = pipe.encode_prompt(prompt, max_sequence_length=512)[0]
            pipe.text_encoder = narrow_model
            narrow = pipe.encode_prompt(prompt, max_sequence_length=512)[0].float()
            pipe.text_encoder = model
        expected["prompts"][name]["bf16_error"] = float((narrow - wide).norm() / wide.norm())
        # The long prompt's end is what its length could get wrong.
        tensors[f"prompt.{name}"] = wide[:, -64:].contiguous()
        expected["prompts"][name]["length"] = wide.shape[1]

    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

    for size in [(640, 640), (1024, 576), (20, 33), (3000, 40), (4000, 4000), (28, 28), (42, 70), (5600, 28)]:
        expected["smart_resize"].append([*size, *smart_resize(size[1], size[0], 28, 56 * 56, 28 * 28 * 1280)[::-1]])
    for name, caption in expected["captions"].items():
        image = picture(*caption["size"], caption["alpha"], seed=len(name))
        image.convert("RGBA").save(out / f"{name}.png")
        inputs = pipe.vl_processor.image_processor(images=image, return_tensors="pt")
        tensors[f"grid.{name}"] = inputs["image_grid_thw"].to(torch.int64)
        # Half of each patch repeats the other: the two frames are one picture.
        pixels = inputs["pixel_values"].unflatten(1, (3, 2, 196))
        assert torch.equal(pixels[:, :, 0], pixels[:, :, 1])
        image_processor = pipe.vl_processor.image_processor
        mean, std = (torch.tensor(v).view(3, 1) * 255 for v in (image_processor.image_mean, image_processor.image_std))
        levels = pixels[:, :, 0] * std + mean
        assert (levels - levels.round()).abs().max() < 1e-3
        tensors[f"levels.{name}"] = levels.round().to(torch.uint8).contiguous()
        with torch.no_grad():
            merged = model.model.get_image_features(inputs["pixel_values"], inputs["image_grid_thw"]).pooler_output
        tensors[f"vision.{name}"] = torch.cat(list(merged)).contiguous()
    save_file(tensors, out / "expected.safetensors")
    (out / "expected.json").write_text(json.dumps(expected, ensure_ascii=False, indent=1), encoding="utf8")


if __name__ == "__main__":
    main()
