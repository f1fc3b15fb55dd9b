"""A tiny checkpoint of the whole pipeline and the reference's tensors at every stage of runs on it.

The reference only accepts resolutions 640 and 1024. Fixtures must be small, so the size computation
is given another area; everything after it is the reference's own code.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import tiny
from make import PUBLISHED, relative, save_part

NAME, SALT = "tiny", 7
TEXT_DIM = 64
CASES = {
    # name: picture width, height, has alpha, resolution, layers, steps, guidance, normalise, seed
    "rgb_cfg_norm": (90, 60, False, 64, 3, 4, 4.0, True, 42),
    "rgba_cfg": (48, 80, True, 64, 1, 4, 2.5, False, 777),
    "rgba_plain": (70, 70, True, 64, 8, 4, 1.0, True, 0),
    "rgb_plain_bf16": (90, 60, False, 64, 2, 4, 1.0, False, 42),
    "rgb_cfg_norm_bf16": (90, 60, False, 64, 3, 4, 4.0, True, 42),
}


def picture(width: int, height: int, alpha: bool) -> Image.Image:
    values = tiny.uniform("picture", width * height * 4, SALT).reshape(height, width, 4)
    pixels = np.clip(values * 160 + 128, 0, 255).astype(np.uint8)
    if not alpha:
        pixels[..., 3] = 255
    return Image.fromarray(pixels, "RGBA")


def run(pipe, image: Image.Image, resolution: int, steps: int, **arguments) -> dict[str, torch.Tensor]:
    """One run of the reference; the stages under the names of this crate's dump."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_layered as module

    stages = {}
    original_size, original_prepare = module.calculate_dimensions, pipe.prepare_latents

    def prepare(*positional, **named):
        latents, image_latents = original_prepare(*positional, **named)
        stages.update(latents0=latents, image_latents=image_latents)
        return latents, image_latents

    def after_step(_, index, __, tensors):
        stages[f"step{index}"] = tensors["latents"]
        return tensors

    module.calculate_dimensions = lambda _, ratio: original_size(resolution * resolution, ratio)
    pipe.prepare_latents = prepare
    try:
        result = pipe(image, num_inference_steps=steps, callback_on_step_end=after_step, output_type="pt", **arguments)
    finally:
        module.calculate_dimensions = original_size
        pipe.prepare_latents = original_prepare
    stages["images"] = result.images[0].float()
    return stages


def build(folder: Path, dtype: torch.dtype):
    """The pipeline without its text side, whose embeddings the cases are given."""
    from types import SimpleNamespace

    from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_layered import QwenImageLayeredPipeline

    vae = AutoencoderKLQwenImage(base_dim=8, input_channels=4)
    transformer = QwenImageTransformer2DModel(
        num_layers=2, num_attention_heads=3, attention_head_dim=16, joint_attention_dim=TEXT_DIM,
        axes_dims_rope=(4, 6, 6), use_additional_t_cond=True, use_layer3d_rope=True)
    scheduler = FlowMatchEulerDiscreteScheduler(**{**PUBLISHED, "time_shift_type": "linear", "shift_terminal": False})
    if folder is not None:
        save_part(vae, folder / "vae", SALT)
        save_part(transformer, folder / "transformer", SALT, "200KB")
        scheduler.save_pretrained(folder / "scheduler")
    tiny.fill(vae, SALT)
    tiny.fill(transformer, SALT)

    class WithoutText(QwenImageLayeredPipeline):
        def __init__(self, **parts):
            self.register_modules(**parts)
            from diffusers.image_processor import VaeImageProcessor

            self.vae_scale_factor, self.latent_channels = 8, 16
            self.image_processor = VaeImageProcessor(vae_scale_factor=16)
            self.text_encoder = SimpleNamespace(dtype=dtype)
            self.set_progress_bar_config(disable=True)

        @property
        def _execution_device(self):
            return torch.device("cpu")

        def maybe_free_model_hooks(self):
            pass

    return WithoutText(vae=vae.to(dtype), transformer=transformer.to(dtype).eval(), scheduler=scheduler)


def embeds(name: str, words: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(tiny.uniform(name, words * TEXT_DIM, SALT).reshape(1, words, TEXT_DIM) * 3).to(dtype)


# name: prompt ("": the model writes it), use_en_prompt
WHOLE = {"whole_prompt": ("A red kite over the sea, 50% OFF", True), "whole_caption": ("", False)}


def make_whole(fixtures: Path) -> list[dict]:
    """Runs of the untouched pipeline class, with the text side of `text.py`."""
    from diffusers.pipelines.qwenimage.pipeline_qwenimage_layered import QwenImageLayeredPipeline
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer, Qwen2VLProcessor

    from text import make_pipeline as with_text

    model = fixtures / "text" / "model"
    text_encoder = Qwen2_5_VLForConditionalGeneration.from_pretrained(model / "text_encoder", dtype=torch.float32)
    parts = build(None, torch.float32)
    pipe = QwenImageLayeredPipeline(
        scheduler=parts.scheduler, vae=parts.vae, transformer=parts.transformer, text_encoder=text_encoder.eval(),
        tokenizer=Qwen2Tokenizer.from_pretrained(model / "tokenizer"), processor=with_text(text_encoder, model).vl_processor)
    pipe.set_progress_bar_config(disable=True)
    captions = []
    original = pipe.get_image_caption
    pipe.get_image_caption = lambda *a, **k: captions.append(original(*a, **k)) or captions[-1]
    listing = []
    for name, (prompt, english) in WHOLE.items():
        captions.clear()
        stages = run(pipe, picture(90, 120, True), 64, 4, prompt=prompt, negative_prompt=" ", layers=2,
                     true_cfg_scale=4.0, cfg_normalize=True, use_en_prompt=english,
                     generator=torch.Generator("cpu").manual_seed(5))
        kept = {key: stages[key].contiguous() for key in ("image_latents", "step3", "images")}
        save_file(kept, fixtures / NAME / f"{name}.safetensors")
        listing.append(dict(name=name, prompt=prompt, english=english, caption=captions[0] if captions else None))
        print(name, listing[-1]["caption"])
    return listing


def make(fixtures: Path) -> None:
    folder = fixtures / NAME
    pipes = {torch.float32: build(folder, torch.float32), torch.bfloat16: build(None, torch.bfloat16)}
    listing = []
    for name, (width, height, alpha, resolution, layers, steps, guidance, normalise, seed) in CASES.items():
        dtype = torch.bfloat16 if name.endswith("bf16") else torch.float32
        arguments = dict(prompt="given as embeddings", prompt_embeds=embeds("prompt", 11, dtype))
        if guidance > 1:
            arguments.update(negative_prompt_embeds=embeds("negative", 5, dtype))
        arguments.update(layers=layers, true_cfg_scale=guidance, cfg_normalize=normalise)
        image = picture(width, height, alpha)
        stages = run(pipes[dtype], image, resolution, steps,
                     generator=torch.Generator("cpu").manual_seed(seed), **arguments)
        case = dict(name=name, width=width, height=height, alpha=alpha, resolution=resolution, layers=layers,
                    steps=steps, guidance=guidance, cfg_normalize=normalise, seed=seed)
        if dtype == torch.bfloat16:
            # How far bf16 moves the reference itself, from the same starting noise.
            wide = {key: value.float() for key, value in arguments.items() if torch.is_tensor(value)}
            exact = run(pipes[torch.float32], image, resolution, steps, latents=stages["latents0"].float(),
                        **{**arguments, **wide})
            case["bf16_error"] = relative(stages["images"], exact["images"])
            stages = {"latents0": stages["latents0"], "images": exact["images"]}
            print(name, "bf16 error", case["bf16_error"])
        print(name, "clipped", float(((stages["images"] <= 0) | (stages["images"] >= 1)).float().mean()),
              tuple(stages["images"].shape))
        save_file({key: value.contiguous() for key, value in stages.items()}, folder / f"{name}.safetensors")
        listing.append(case)
    (folder / "whole.json").write_text(json.dumps(make_whole(fixtures), indent=1) + "\n")
    (folder / "cases.json").write_text(json.dumps(listing, indent=1) + "\n")
