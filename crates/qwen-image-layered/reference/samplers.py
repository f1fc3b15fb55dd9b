"""The samplers of diffusers along the schedule of the model, step by step; `make.py samplers`.

Each scheduler is given the sigmas of `FlowMatchEulerDiscreteScheduler`, so that only the way of stepping differs. In
f64 the schedulers' own small differences are exact.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

import tiny
from make import PUBLISHED

SHAPE = (1, 6, 8)
CASES = [(1, 24), (2, 1600), (3, 24), (8, 1600), (20, 1600), (50, 4096)]


def sigmas_of(steps: int, tokens: int) -> torch.Tensor:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(**{**PUBLISHED, "time_shift_type": "linear", "shift_terminal": False})
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0, steps + 1)[:-1], mu=(tokens / 256) ** 0.5)
    return scheduler.sigmas


def along(name: str, sigmas: torch.Tensor):
    """The scheduler `name` with these sigmas, and the sigma that the model is called with at each of its calls."""
    from diffusers import DPMSolverMultistepScheduler, FlowMatchHeunDiscreteScheduler, UniPCMultistepScheduler

    steps = len(sigmas) - 1
    if name == "heun":
        scheduler = FlowMatchHeunDiscreteScheduler()
        scheduler.set_timesteps(steps)
        scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
        scheduler.timesteps = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2)]) * 1000
        return scheduler, scheduler.timesteps / 1000
    kind = UniPCMultistepScheduler if name == "unipc" else DPMSolverMultistepScheduler
    scheduler = kind(prediction_type="flow_prediction", use_flow_sigmas=True)
    scheduler.set_timesteps(steps)
    # As UniPC does: otherwise the first logarithm is infinite.
    first = (sigmas[:1].double() - 1e-6).float() if abs(float(sigmas[0]) - 1) < 1e-6 else sigmas[:1]
    scheduler.sigmas = torch.cat([first, sigmas[1:]])
    scheduler.timesteps = sigmas[:-1] * 1000
    return scheduler, sigmas[:-1]


def field(x: torch.Tensor, sigma) -> torch.Tensor:
    return torch.sin(3 * x + 2 * float(sigma)) + 0.5 * x


def walk(name: str, sigmas: torch.Tensor, dtype) -> list[torch.Tensor]:
    scheduler, times = along(name, sigmas)
    scheduler.sigmas = scheduler.sigmas.to(dtype)
    scheduler.set_begin_index(0)
    x = torch.from_numpy(tiny.uniform("sample", math.prod(SHAPE), 1).reshape(SHAPE) * np.float32(2)).to(dtype)
    after = []
    for index, sigma in enumerate(times):
        x = scheduler.step(field(x, sigma), scheduler.timesteps[index], x, return_dict=False)[0]
        # Heun goes to the end of a step, and from there corrects it.
        if name != "heun" or index % 2 == 0 and index + 1 == len(times) or index % 2 == 1 or len(times) == 1:
            after.append(x)
    return after


def make_run(fixtures: Path, tensors: dict) -> None:
    """A whole run of the pipeline with each: the last latents."""
    import pipeline

    for name in ("heun", "unipc", "dpmpp_2m"):
        pipe = pipeline.build(None, torch.float32)

        def set_timesteps(self, sigmas=None, device=None, mu=None, name=name):
            own = sigmas_of(len(sigmas), round(mu**2 * 256))
            scheduler, _ = along(name, own)
            self.__dict__.update(scheduler.__dict__)

        scheduler, _ = along(name, sigmas_of(2, 24))
        kind = type("Along", (type(scheduler),), dict(set_timesteps=set_timesteps))
        scheduler.__class__ = kind
        pipe.scheduler = scheduler
        stages = pipeline.run(
            pipe, pipeline.picture(90, 60, False), 64, 4, prompt="given as embeddings",
            prompt_embeds=pipeline.embeds("prompt", 11, torch.float32),
            negative_prompt_embeds=pipeline.embeds("negative", 5, torch.float32), layers=3, true_cfg_scale=4.0,
            cfg_normalize=True, generator=torch.Generator("cpu").manual_seed(42))
        last = max((key for key in stages if key.startswith("step")), key=lambda key: int(key[4:]))
        print(name, last, float(stages[last].norm()))
        tensors[f"run_{name}"] = stages[last].contiguous()


def make(fixtures: Path) -> None:
    tensors, worst = {}, {}
    for steps, tokens in CASES:
        sigmas = sigmas_of(steps, tokens)
        for name in ("heun", "unipc", "dpmpp_2m"):
            after = walk(name, sigmas, torch.float64)
            assert len(after) == steps, (name, steps, len(after))
            in_f32 = walk(name, sigmas, torch.float32)
            error = max(float((a - b).norm() / b.norm()) for a, b in zip(in_f32, after))
            worst[name] = max(worst.get(name, 0), error)
            tensors[f"{name}_{steps}_{tokens}"] = torch.stack(after).float()
    print("the reference's own f32", worst)
    make_run(fixtures, tensors)
    save_file(tensors, fixtures / "samplers.safetensors")
    make_control(fixtures)


def make_control(fixtures: Path) -> None:
    """The schedule of DiffSynth's `FlowMatchScheduler("Qwen-Image")`."""
    import importlib.util

    # Its module alone: the package wants much that is not needed for numbers.
    package = importlib.util.find_spec("diffsynth").submodule_search_locations[0]
    spec = importlib.util.spec_from_file_location("flow_match", Path(package) / "diffusion" / "flow_match.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = []
    for steps, tokens in ((1, None), (10, None), (10, 1600), (30, 4096), (50, 24)):
        sigmas, timesteps = module.FlowMatchScheduler.set_timesteps_qwen_image(steps, dynamic_shift_len=tokens)
        if not bool(sigmas.isfinite().all()):
            continue
        cases.append(dict(steps=steps, tokens=tokens, sigmas=sigmas.tolist(), timesteps=timesteps.tolist()))
    text = json.dumps(cases).replace('{"steps"', '\n{"steps"')
    (fixtures / "scheduler-control.json").write_text(text + "\n")
