"""Opens exports with psd-tools, python-pptx and the standard library, and
compares what they see with `expected.json`, which tests/readers.rs wrote.

python readers.py FOLDER; needs psd-tools, python-pptx and Pillow."""

import base64
import io
import json
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from pptx import Presentation
from psd_tools import PSDImage


def premultiplied(picture):
    pixels = np.asarray(picture.convert("RGBA")).astype(float)
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels


def same(found, expected, what, tolerance=1.01):
    difference = np.abs(premultiplied(found) - premultiplied(expected)).max()
    assert difference <= tolerance, f"{what}: a difference of {difference:.2f}"


def stacked(pictures, size):
    """Pictures with their corners, the lowest first, composited in floats and rounded once."""
    total = np.zeros((size[1], size[0], 4))
    for picture, (x, y) in pictures:
        layer = np.zeros_like(total)
        layer[y : y + picture.height, x : x + picture.width] = premultiplied(picture)
        total = layer + total * (1 - layer[..., 3:] / 255)
    alpha = np.maximum(total[..., 3:], 1e-9) / 255
    total[..., :3] = total[..., :3] / alpha
    return Image.fromarray(total.round().clip(0, 255).astype(np.uint8))


def check_psd(folder, expected, composite):
    for file in ["flat.psd", "grouped.psd"]:
        psd = PSDImage.open(folder / file)
        assert psd.size == (expected["width"], expected["height"]), psd.size
        layers = [layer for layer in psd.descendants() if not layer.is_group()]
        assert [layer.name for layer in layers] == expected["names"], [layer.name for layer in layers]
        same(psd.topil(), composite[file[:-4]], f"{file}, merged picture")
        # psd-tools cuts fractions off where the product rounds.
        same(psd.composite(force=True), composite[file[:-4]], f"{file}, composited by psd-tools", 2.01)
        assert psd.has_thumbnail() and psd.thumbnail().size[0] > 0
        if file == "flat.psd":
            boxes = [list(layer.bbox) for layer in layers]
            assert boxes == expected["boxes"], boxes
            pictures = [(layer.topil(), layer.offset) for layer in layers]
            same(stacked(pictures, psd.size), composite["flat"], "the PSD's layers")
    group = next(layer for layer in psd.descendants() if layer.is_group())
    assert (group.name, group.opacity, len(group)) == (expected["group"], 128, 3), group
    assert [layer.visible for layer in group] == [True, False, True]


def check_pptx(folder, expected, composite):
    slide = Presentation(folder / "flat.pptx").slides[0]
    assert [shape.name for shape in slide.shapes] == expected["names"]
    texts = [shape._element.nvPicPr.cNvPr.get("descr") for shape in slide.shapes]
    assert texts == expected["texts"], texts
    scale = Presentation(folder / "flat.pptx").slide_width / expected["width"]
    pictures = []
    for shape in slide.shapes:
        picture = Image.open(io.BytesIO(shape.image.blob)).convert("RGBA")
        place = (round(shape.left / scale), round(shape.top / scale))
        size = (round(shape.width / scale), round(shape.height / scale))
        assert picture.size == size, (picture.size, size)
        pictures.append((picture, place))
    size = (expected["width"], expected["height"])
    same(stacked(pictures, size), composite["flat"], "the slide's pictures")
    grouped = Presentation(folder / "grouped.pptx").slides[0].shapes
    assert [shape.name for shape in grouped] == [expected["names"][0], expected["group"]]
    assert [shape.name for shape in grouped[1].shapes] == expected["names"][1:]


def check_svg(folder, expected, composite):
    root = ElementTree.parse(folder / "flat.svg").getroot()
    space = {"s": "http://www.w3.org/2000/svg"}
    names, pictures = [], []
    for group in root.findall("s:g", space):
        names.append(group.find("s:title", space).text)
        image = group.find("s:image", space)
        data = image.get("{http://www.w3.org/1999/xlink}href").split(",", 1)[1]
        picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGBA")
        pictures.append((picture, (int(image.get("x")), int(image.get("y")))))
    assert names == expected["names"], names
    size = (int(root.get("width")), int(root.get("height")))
    same(stacked(pictures, size), composite["flat"], "the SVG's pictures")


def check_archives(folder, expected, composite):
    with zipfile.ZipFile(folder / "flat.ora") as ora:
        assert ora.testzip() is None
        assert ora.infolist()[0].filename == "mimetype"
        same(Image.open(ora.open("mergedimage.png")), composite["flat"], "the ORA's merged picture")
    with zipfile.ZipFile(folder / "flat.zip") as archive:
        assert archive.testzip() is None
        layers = json.load(archive.open("manifest.json"))["layers"]
        assert [layer["name"] for layer in layers] == expected["names"]
        pictures = []
        for layer in layers:
            picture = Image.open(archive.open(layer["trimmed_file"])).convert("RGBA")
            pictures.append((picture, (layer["x"], layer["y"])))
        size = (expected["width"], expected["height"])
        same(stacked(pictures, size), composite["flat"], "the ZIP's trimmed layers")


def main():
    folder = Path(sys.argv[1])
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    composite = {name: Image.open(folder / f"{name}.png") for name in ["flat", "grouped"]}
    for check in [check_psd, check_pptx, check_svg, check_archives]:
        check(folder, expected, composite)
        print(f"{check.__name__}: good")


main()
