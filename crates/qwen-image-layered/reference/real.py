"""Parts at their published widths with random weights: checks and times against the reference. Commits nothing.

    python real.py DIR vae|transformer [--rows 40 --columns 40 --words 256 --seed 0 --bf16]
    cargo run --release -p qwen-image-layered --example check -- DIR vae|transformer [f32|bf16]

The first writes a checkpoint and the reference's inputs and outputs to DIR and prints its times and peak
memory; the second runs this crate on them and prints relative errors and times.
"""

import argparse
import resource
import time
from pathlib import Path

import torch
from safetensors.torch import save_file


@torch.no_grad()
def randomise(model: torch.nn.Module, seed: int) -> None:
    """Normal weights that keep the variance; vectors around 1 or 0, never exactly. All are values of bfloat16."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        below = tensor[0].numel()
        if below == 1 and tensor.dim() != 2:
            noise = 0.1 * noise if name.endswith("bias") else 1 + 0.2 * noise
        else:
            noise = noise / (below / (3 if tensor.dim() == 5 and tensor.shape[2] == 3 else 1)) ** 0.5
        tensor.copy_(noise.bfloat16())


def written(model: torch.nn.Module, folder: Path, seed: int):
    """Writes random weights for `model` to `folder`, in bfloat16 as published; gives what loads them in a type.

    Loaded anew for each type: casting a model would also round what its loader keeps in float32.
    """
    randomise(model, seed)
    kind = type(model)
    model.bfloat16().save_pretrained(folder, max_shard_size="400MB")
    return lambda dtype: kind.from_pretrained(folder, torch_dtype=dtype).eval()


def timed(name: str, call):
    call_start = time.perf_counter()
    result = call()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{name}: {time.perf_counter() - call_start:.2f} s, peak so far {peak:.2f} GB", flush=True)
    return result


def vae(folder: Path, options) -> None:
    from diffusers import AutoencoderKLQwenImage

    load = written(AutoencoderKLQwenImage(base_dim=96, z_dim=16, input_channels=4), folder / "vae", options.seed)
    height, width = 16 * options.rows, 16 * options.columns
    image = torch.rand(1, 4, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = torch.randn(1, 16, height // 8, width // 8, generator=torch.Generator().manual_seed(2)) * 2
    tensors = dict(image=image, latents=latents)
    for dtype, ending in types(options):
        model = load(dtype)
        x, z = image.to(dtype).unsqueeze(2), latents.to(dtype).unsqueeze(2)
        tensors["moments" + ending] = timed(f"encode in {dtype}", lambda: model._encode(x).squeeze(2))
        tensors["decoded" + ending] = timed(f"decode in {dtype}", lambda: model.decode(z).sample.squeeze(2))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "vae.safetensors")


def transformer(folder: Path, options) -> None:
    from diffusers import QwenImageTransformer2DModel

    model = QwenImageTransformer2DModel(num_layers=1, use_additional_t_cond=True, use_layer3d_rope=True)
    load = written(model, folder / "transformer", options.seed)
    del model
    frames, tokens = 5, options.rows * options.columns
    hidden = torch.randn(1, (frames + 1) * tokens, 64, generator=torch.Generator().manual_seed(1))
    text = torch.randn(1, options.words, 3584, generator=torch.Generator().manual_seed(2)) * 5
    tensors = dict(hidden=hidden, text=text, shape=torch.tensor([frames, options.rows, options.columns]))
    for dtype, ending in types(options):
        model = load(dtype)
        tensors["output" + ending] = timed(f"forward of one block in {dtype}", lambda: model(
            hidden_states=hidden.to(dtype), timestep=torch.tensor([0.7306], dtype=dtype),
            encoder_hidden_states=text.to(dtype), img_shapes=[[(1, options.rows, options.columns)] * (frames + 1)],
            additional_t_cond=torch.tensor([0]), return_dict=False)[0])
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "transformer.safetensors")


def types(options):
    """The types to run in, and what the names of their results end with."""
    return [(torch.float32, ""), (torch.bfloat16, "_bf16")][: 2 if options.bf16 else 1]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("part", choices=["vae", "transformer"])
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--columns", type=int, default=40)
    parser.add_argument("--words", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--bf16", action="store_true")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    {"vae": vae, "transformer": transformer}[options.part](options.folder, options)
