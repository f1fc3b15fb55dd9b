"""Tiny checkpoints in the published layout whose weights follow from their names.

Every weight is a pure function of (salt, tensor name, element index, shape): see
`values`. `tests/common/checkpoint.rs` has the same function, so the repository
holds configs, tensor lists and reference outputs, but no weights.
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch

GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def uniform(name: str, count: int, salt: int) -> np.ndarray:
    """`count` values in [-1, 1), multiples of 2^-23: splitmix64 over the crc of the name."""
    start = ((zlib.crc32(name.encode()) + (salt << 32)) * GOLDEN) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(start) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)


def values(name: str, shape: tuple[int, ...], salt: int) -> np.ndarray:
    """The weight called `name`: norms around 1, biases around 0, matrices that keep the variance."""
    u = uniform(name, math.prod(shape), salt).reshape(shape)
    if math.prod(shape[1:]) == 1 and (len(shape) != 2):  # vectors, also (c, 1, 1, 1)
        return u * np.float32(0.1) if name.endswith("bias") else u * np.float32(0.3) + np.float32(1)
    if "embed" in name and len(shape) == 2 and "linear" not in name and "proj" not in name:
        return u
    # A causal 3D kernel sees one frame: only its last temporal slice counts.
    fan_in = math.prod(shape[1:]) // (3 if len(shape) == 5 and shape[2] == 3 else 1)
    return u * np.float32(math.sqrt(3.0 / fan_in))


@torch.no_grad()
def fill(model: torch.nn.Module, salt: int) -> None:
    """Gives every tensor of `model` (published names) its value."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(torch.from_numpy(values(name, tuple(tensor.shape), salt)))


def describe(folder: Path) -> None:
    """Writes `tensors.json` beside each safetensors file set below `folder`: what the tests rebuild.

    Names come from the saved files, so they are those that a loader meets.
    """
    from safetensors import safe_open

    files = sorted(folder.glob("*.safetensors"))
    listing = {}
    for file in files:
        with safe_open(file, "pt") as opened:
            listing[file.name] = {name: list(opened.get_slice(name).get_shape()) for name in opened.keys()}
    (folder / "tensors.json").write_text(json.dumps(listing, indent=0) + "\n")
