"""Runs the prototype for the benchmark; its folder is on PYTHONPATH.

peer.py decompose WORK        decomposes WORK/*/poster.png into 4 layers with approach B
peer.py posters COUNT WORK    writes the prototype's own posters and their true layers
"""

import json
import sys
import time
from pathlib import Path

import cv2
import numpy as np


def write(path, picture):
    order = [2, 1, 0, 3][: picture.shape[2]]
    cv2.imwrite(str(path), np.ascontiguousarray(picture[..., order]), [cv2.IMWRITE_PNG_COMPRESSION, 1])


def decompose(work):
    import pipe

    compiled = False
    for poster in sorted(work.glob("*/poster.png")):
        folder = poster.parent
        if (folder / "result.json").exists():
            continue
        picture = np.ascontiguousarray(cv2.imread(str(poster))[..., ::-1])
        if not compiled:
            # numba compiles what is called first.
            pipe.decompose(picture, 4, "B")
            compiled = True
        start = time.time()
        layers, names, _, _ = pipe.decompose(picture, 4, "B")
        seconds = time.time() - start
        for k, layer in enumerate(layers):
            write(folder / f"layer_{k}.png", np.asarray(layer, np.uint8))
        (folder / "result.json").write_text(json.dumps({"names": names, "seconds": seconds}))
        print(f"prototype: {folder.name} {seconds:.1f} s", file=sys.stderr, flush=True)


def posters(count, work):
    import synth

    for number in range(count):
        folder = work / str(number)
        if (folder / "poster.json").exists():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        picture, layers, kind, shadow = synth.make(number)
        write(folder / "poster.png", picture)
        for k, layer in enumerate(layers):
            write(folder / f"true_{k}.png", layer)
        (folder / "poster.json").write_text(json.dumps({"kind": kind, "shadow": shadow}))


if sys.argv[1] == "decompose":
    decompose(Path(sys.argv[2]))
else:
    posters(int(sys.argv[2]), Path(sys.argv[3]))
