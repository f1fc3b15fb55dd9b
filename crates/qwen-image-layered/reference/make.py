"""Makes the fixtures below `tests/fixtures/`: tiny checkpoints (configs and tensor lists) and the reference's numbers.

    python make.py [part ...]      parts: vae transformer scheduler noise resize pipeline lora samplers; default: all
"""

import json
import os
import shutil
import sys
import zlib
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import tiny

FIXTURES = Path(__file__).parent.parent / "tests" / "fixtures"
torch.set_grad_enabled(False)
torch.set_num_threads(2)


def noise(name: str, shape, salt: int = 0, scale: float = 1.0) -> torch.Tensor:
    """Test inputs: uniform in [-scale, scale), from the same function as the weights."""
    return torch.from_numpy(tiny.uniform(name, int(np.prod(shape)), salt).reshape(shape) * np.float32(scale))


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def save_part(model, folder: Path, salt: int, shard_size: str = "10GB") -> None:
    """Fills and saves `model`, keeps config and tensor list, drops the weights."""
    shutil.rmtree(folder, ignore_errors=True)
    tiny.fill(model, salt)
    model.save_pretrained(folder, max_shard_size=shard_size)
    tiny.describe(folder)
    for file in folder.glob("*.safetensors*"):
        file.unlink()


# --- VAE -------------------------------------------------------------------------------------------------------------

VAES = {
    # name: (config, salt, picture height and width)
    "vae-published": (dict(base_dim=8), 1, (40, 64)),
    "vae-other": (
        dict(base_dim=6, z_dim=4, dim_mult=[1, 3, 2], num_res_blocks=1, temperal_downsample=[True, False],
             latents_mean=[0.1, -0.2, 0.3, -0.4], latents_std=[1.5, 0.7, 1.1, 2.0]),
        2, (36, 28),
    ),
}


def make_vae() -> None:
    from diffusers import AutoencoderKLQwenImage

    for name, (config, salt, (height, width)) in VAES.items():
        vae = AutoencoderKLQwenImage(input_channels=4, **config)
        save_part(vae, FIXTURES / name, salt)
        image = noise("image", (1, 4, height, width), salt)
        latents = noise("latents", (2, vae.config.z_dim, height // vae.spatial_compression_ratio,
                                    width // vae.spatial_compression_ratio), salt, 3.0)
        tensors = {}
        for dtype in (torch.float32, torch.bfloat16):
            part = vae.to(dtype)
            suffix = "" if dtype == torch.float32 else "_bf16"
            moments = part._encode(image.to(dtype).unsqueeze(2)).squeeze(2)
            tensors["moments" + suffix] = moments.contiguous()
            tensors["decoded" + suffix] = part.decode(latents.to(dtype).unsqueeze(2)).sample.squeeze(2).contiguous()
        print(name, "bf16 error", relative(tensors["moments_bf16"], tensors["moments"]),
              relative(tensors["decoded_bf16"], tensors["decoded"]))
        save_file(tensors, FIXTURES / name / "expected.safetensors")


# --- transformer -----------------------------------------------------------------------------------------------------

TRANSFORMERS = {
    # name: (config, salt, frames, latent rows and columns in patches, text tokens, shard size)
    "transformer-published": (
        dict(num_layers=2, num_attention_heads=3, attention_head_dim=16, joint_attention_dim=64, axes_dims_rope=(4, 6, 6)),
        3, 3, (4, 6), 7, "200KB",
    ),
    # An odd row count (more negative than positive positions) and more frames than half the side.
    "transformer-tall": (
        dict(num_layers=1, num_attention_heads=2, attention_head_dim=32, joint_attention_dim=48, axes_dims_rope=(8, 12, 12)),
        4, 9, (5, 3), 40, "10GB",
    ),
}


def make_transformer() -> None:
    from diffusers import QwenImageTransformer2DModel

    for name, (config, salt, frames, (rows, columns), words, shard) in TRANSFORMERS.items():
        model = QwenImageTransformer2DModel(use_additional_t_cond=True, use_layer3d_rope=True, **config).eval()
        save_part(model, FIXTURES / name, salt, shard)
        hidden = noise("hidden", (1, (frames + 1) * rows * columns, 64), salt, 1.7)
        text = noise("text", (1, words, config["joint_attention_dim"]), salt, 3.0)
        tensors = {"shape": torch.tensor([frames, rows, columns])}
        for dtype in (torch.float32, torch.bfloat16):
            suffix = "" if dtype == torch.float32 else "_bf16"
            for sigma in (1.0, 0.7306, 0.1):
                tensors[f"output_{sigma}{suffix}"] = model.to(dtype)(
                    hidden_states=hidden.to(dtype),
                    timestep=(torch.tensor([sigma * 1000]).to(dtype)) / 1000,
                    encoder_hidden_states=text.to(dtype),
                    img_shapes=[[(1, rows, columns)] * (frames + 1)],
                    additional_t_cond=torch.tensor([0]),
                    return_dict=False,
                )[0].contiguous()
            model.to(torch.float32)
            tiny.fill(model, salt)
        print(name, "bf16 error", relative(tensors["output_0.7306_bf16"], tensors["output_0.7306"]))
        save_file(tensors, FIXTURES / name / "expected.safetensors")


# --- scheduler -------------------------------------------------------------------------------------------------------

PUBLISHED = dict(
    base_image_seq_len=256, base_shift=0.5, invert_sigmas=False, max_image_seq_len=8192, max_shift=0.9,
    num_train_timesteps=1000, shift=1.0, shift_terminal=None, stochastic_sampling=False, time_shift_type="exponential",
    use_beta_sigmas=False, use_dynamic_shifting=True, use_exponential_sigmas=False, use_karras_sigmas=False,
)
SCHEDULERS = [
    dict(time_shift_type="linear", shift_terminal=False),
    dict(time_shift_type="linear"),
    dict(time_shift_type="linear", shift_terminal=0.02),
    dict(time_shift_type="exponential", shift_terminal=0.1),
    dict(use_dynamic_shifting=False, shift=3.0),
    dict(use_dynamic_shifting=False, shift=1.0, invert_sigmas=True, num_train_timesteps=500),
    dict(time_shift_type="linear", use_karras_sigmas=True),
    dict(time_shift_type="linear", use_exponential_sigmas=True),
]


def make_scheduler() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    cases = []
    for change in SCHEDULERS:
        config = {**PUBLISHED, **change}
        for steps, tokens in ((1, 1600), (4, 24), (50, 1600), (28, 4096)):
            scheduler = FlowMatchEulerDiscreteScheduler(**config)
            mu = (tokens / 256) ** 0.5
            scheduler.set_timesteps(sigmas=np.linspace(1.0, 0, steps + 1)[:-1], mu=mu)
            if not bool(scheduler.sigmas.isfinite().all()):
                continue
            cases.append(dict(config={"_class_name": "FlowMatchEulerDiscreteScheduler", **config}, steps=steps,
                              tokens=tokens, sigmas=scheduler.sigmas.tolist(), timesteps=scheduler.timesteps.tolist()))
    (FIXTURES / "scheduler.json").write_text(json.dumps(cases, indent=None).replace('{"config"', '\n{"config"') + "\n")


# --- noise -----------------------------------------------------------------------------------------------------------

NOISE_SIZES = [1, 2, 3, 7, 15, 16, 17, 23, 31, 32, 33, 48, 49, 100, 1023]
NOISE_SEEDS = [0, 1, 42, 777, 2**31, 2**32 + 5, 2**63 + 11]


def make_noise() -> None:
    tensors, checksums = {}, {}
    for dtype, name in ((torch.float32, "f32"), (torch.bfloat16, "bf16")):
        for seed in NOISE_SEEDS:
            for size in NOISE_SIZES:
                tensor = torch.randn(size, generator=torch.Generator("cpu").manual_seed(seed), dtype=dtype)
                if size in (1, 7, 15, 16, 17, 49):
                    tensors[f"{name}_{seed}_{size}"] = tensor
                view = torch.int32 if dtype == torch.float32 else torch.int16
                checksums[f"{name}_{seed}_{size}"] = zlib.crc32(tensor.view(view).numpy().tobytes())
        for seed in (0, 42):
            for size in (512000, 1000003):
                tensor = torch.randn(size, generator=torch.Generator("cpu").manual_seed(seed), dtype=dtype)
                view = torch.int32 if dtype == torch.float32 else torch.int16
                checksums[f"{name}_{seed}_{size}"] = zlib.crc32(tensor.view(view).numpy().tobytes())
    save_file(tensors, FIXTURES / "noise.safetensors")
    (FIXTURES / "noise.json").write_text(json.dumps(checksums, indent=0) + "\n")


# --- resize ----------------------------------------------------------------------------------------------------------

RESIZES = [((37, 23), (64, 32)), ((90, 61), (32, 32)), ((200, 40), (64, 13)), ((16, 16), (17, 15)), ((33, 50), (33, 20)),
           ((64, 64), (64, 64)), ((1, 1), (32, 32)), ((300, 2), (32, 32))]


def picture(width: int, height: int, salt: int, alpha: bool) -> Image.Image:
    """Noise in blocks, with flat, saturated and fully transparent areas."""
    values = tiny.uniform("picture", width * height * 4, salt).reshape(height, width, 4)
    pixels = np.clip(values * 160 + 128, 0, 255).astype(np.uint8)
    if not alpha:
        pixels[..., 3] = 255
    return Image.fromarray(pixels, "RGBA")


def make_resize() -> None:
    cases, tensors = [], {}
    for index, ((width, height), (to_width, to_height)) in enumerate(RESIZES):
        for alpha in (False, True):
            source = picture(width, height, index, alpha)
            target = source.resize((to_width, to_height), resample=Image.Resampling.LANCZOS)
            key = f"{index}_{'rgba' if alpha else 'rgb'}"
            tensors[key] = torch.from_numpy(np.asarray(target).copy())
            cases.append(dict(key=key, salt=index, alpha=alpha, width=width, height=height))
    save_file(tensors, FIXTURES / "resize.safetensors")
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_layered import calculate_dimensions

    sizes = [[w, h, r, *calculate_dimensions(r * r, w / h)] for w, h in
             ((1080, 1350), (640, 640), (1, 1), (1000, 999), (1920, 1080), (3000, 1000), (101, 2000), (723, 512), (4961, 7016))
             for r in (640, 1024)]
    (FIXTURES / "resize.json").write_text(json.dumps(dict(cases=cases, sizes=sizes)) + "\n")


def make_pipeline() -> None:
    import pipeline

    pipeline.make(FIXTURES)


def make_lora() -> None:
    import lora

    lora.make(FIXTURES)


def make_samplers() -> None:
    import samplers

    samplers.make(FIXTURES)


PARTS = {
    "vae": make_vae, "transformer": make_transformer, "scheduler": make_scheduler, "noise": make_noise,
    "resize": make_resize, "pipeline": make_pipeline, "lora": make_lora,
    "samplers": make_samplers,
}

if __name__ == "__main__":
    FIXTURES.mkdir(parents=True, exist_ok=True)
    for part in sys.argv[1:] or PARTS:
        PARTS[part]()
