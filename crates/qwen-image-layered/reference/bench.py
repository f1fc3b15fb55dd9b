"""The reference's side of the benchmark; `cargo xtask bench model` runs it.

    python bench.py vae|block|text f32|bf16 [--threads 2] [--rows 40]

Builds a part at its published widths with random weights, then answers each name of a call on stdin with a
line: seconds, seconds of all processors, peak memory and the memory before the call in bytes.
"""

import argparse
import sys
import time

import torch


def vae(dtype, options):
    from diffusers import AutoencoderKLQwenImage

    model = AutoencoderKLQwenImage(base_dim=96, z_dim=16, input_channels=4).to(dtype).eval()
    side = options.rows * 16
    image = torch.randn(1, 4, 1, side, side, dtype=dtype)
    latents = torch.randn(1, 16, 1, side // 8, side // 8, dtype=dtype)
    return {"encode": lambda: model._encode(image), "decode": lambda: model.decode(latents).sample}


def block(dtype, options):
    from diffusers import QwenImageTransformer2DModel

    model = QwenImageTransformer2DModel(num_layers=1, use_additional_t_cond=True, use_layer3d_rope=True)
    model = model.to(dtype).eval()
    hidden = torch.randn(1, 6 * options.rows**2, 64, dtype=dtype)
    text = torch.randn(1, 256, 3584, dtype=dtype)
    shapes = [[(1, options.rows, options.rows)] * 6]
    return {"forward": lambda: model(
        hidden_states=hidden, timestep=torch.tensor([0.7], dtype=dtype), encoder_hidden_states=text,
        img_shapes=shapes, additional_t_cond=torch.tensor([0]), return_dict=False)[0]}


def text(dtype, options):
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel

    config = Qwen2_5_VLTextConfig(
        hidden_size=3584, intermediate_size=18944, num_hidden_layers=2, num_attention_heads=28,
        num_key_value_heads=4, vocab_size=1152, rms_norm_eps=1e-6, max_position_embeddings=4096,
        rope_parameters=dict(rope_type="default", rope_theta=1e6, mrope_section=[16, 24, 24]))
    config._attn_implementation = "sdpa"
    model = Qwen2_5_VLTextModel(config).to(dtype).eval()
    ids = torch.randint(0, 1152, (1, 34 + 512))
    return {"forward": lambda: model(input_ids=ids, use_cache=False).last_hidden_state}


def memory(name):
    try:
        lines = open("/proc/self/status").read().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["vae", "block", "text"])
    parser.add_argument("dtype", choices=["f32", "bf16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=40)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    calls = {"vae": vae, "block": block, "text": text}[options.part](dtype, options)
    print("ready", flush=True)
    for line in sys.stdin:
        try:
            open("/proc/self/clear_refs", "w").write("5")
        except OSError:
            pass
        before, processors, wall = memory("VmRSS"), time.process_time(), time.perf_counter()
        result = calls[line.strip()]()
        wall, processors = time.perf_counter() - wall, time.process_time() - processors
        peak = memory("VmHWM")
        del result
        print(wall, processors, peak, before, flush=True)


if __name__ == "__main__":
    main()
