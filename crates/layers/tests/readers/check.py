"""Opens the exports of one document with psd-tools, python-pptx, Pillow and the
standard library, and compares what they see with `expected.json`.

python check.py FOLDER; see requirements.txt beside this file. The folder is
written by support.rs: `document.psd`, `.ora`, `.pptx`, `.svg`, `.zip` (with
trimmed layers), `composite.png`, and `expected.json` with `width`, `height` and
`nodes`, the lowest first, each with `name`, `visible`, `opacity` and either
`nodes` (a group) or `box` (left, top, right, bottom), `text` and, where it has no visible pixel, `empty`."""

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
from pptx.shapes.group import GroupShape
from psd_tools import PSDImage

SVG = {"s": "http://www.w3.org/2000/svg"}
HREF = "{http://www.w3.org/1999/xlink}href"
# psd-tools' own compositing takes minutes for a poster.
COMPOSITED_MOST_PIXELS = 250_000


def group(name, visible, opacity, nodes):
    return {"name": name, "visible": visible, "opacity": opacity, "nodes": nodes}


def layer(name, visible, opacity, picture, at, text=None):
    picture = picture.convert("RGBA")
    box = [at[0], at[1], at[0] + picture.width, at[1] + picture.height]
    return {"name": name, "visible": visible, "opacity": opacity, "box": box, "picture": picture, "text": text}


def read_psd(folder):
    def nodes(container):
        return [
            group(one.name, one.visible, one.opacity / 255, nodes(one))
            if one.is_group()
            else layer(one.name, one.visible, one.opacity / 255, one.topil(), one.offset)
            for one in container
        ]

    psd = PSDImage.open(folder / "document.psd")
    assert psd.has_thumbnail() and psd.thumbnail().size[0] > 0, "the PSD has no thumbnail"
    return psd.size, nodes(psd), psd.topil()


def read_pptx(folder):
    presentation = Presentation(folder / "document.pptx")
    picture_width = json.loads((folder / "expected.json").read_text("utf-8"))["width"]
    scale = presentation.slide_width / picture_width

    def node(shape):
        properties = shape._element.xpath("./*/p:cNvPr")[0]
        visible = properties.get("hidden") != "1"
        if isinstance(shape, GroupShape):
            return group(shape.name, visible, 1, [node(one) for one in shape.shapes])
        picture = Image.open(io.BytesIO(shape.image.blob))
        size = (round(shape.width / scale), round(shape.height / scale))
        assert picture.size == size, f"{shape.name}: {picture.size} pixels are shown as {size}"
        alpha = shape._element.xpath(".//a:alphaModFix")
        opacity = int(alpha[0].get("amt")) / 100_000 if alpha else 1
        at = (round(shape.left / scale), round(shape.top / scale))
        return layer(shape.name, visible, opacity, picture, at, properties.get("descr"))

    size = (picture_width, round(presentation.slide_height / scale))
    return size, [node(shape) for shape in presentation.slides[0].shapes], None


def read_svg(folder):
    root = ElementTree.parse(folder / "document.svg").getroot()

    def node(one):
        name = one.find("s:title", SVG).text or ""
        visible, opacity = "display:none" not in one.get("style", ""), float(one.get("opacity", 1))
        image = one.find("s:image", SVG)
        if image is None:
            return group(name, visible, opacity, [node(child) for child in one.findall("s:g", SVG)])
        data = base64.b64decode(image.get(HREF).split(",", 1)[1])
        at = (int(image.get("x")), int(image.get("y")))
        text = one.find("s:desc", SVG)
        return layer(name, visible, opacity, Image.open(io.BytesIO(data)), at, "" if text is None else text.text)

    size = (int(root.get("width")), int(root.get("height")))
    return size, [node(one) for one in root.findall("s:g", SVG)], None


def read_ora(folder):
    archive = zipfile.ZipFile(folder / "document.ora")
    assert archive.testzip() is None
    first = archive.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED), first
    image = ElementTree.fromstring(archive.read("stack.xml"))

    def node(one):
        name, visible = one.get("name"), one.get("visibility") == "visible"
        opacity = float(one.get("opacity"))
        if one.tag == "stack":
            return group(name, visible, opacity, nodes(one))
        return layer(name, visible, opacity, Image.open(archive.open(one.get("src"))), (int(one.get("x")), int(one.get("y"))))

    def nodes(stack):
        # The topmost comes first.
        return [node(one) for one in reversed(list(stack))]

    size = (int(image.get("w")), int(image.get("h")))
    return size, nodes(image.find("stack")), Image.open(archive.open("mergedimage.png"))


def read_zip(folder):
    archive = zipfile.ZipFile(folder / "document.zip")
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))
    layers = iter(manifest["layers"])
    size = (manifest["width"], manifest["height"])

    def node(one):
        if one["type"] == "group":
            return group(one["name"], one["visible"], one["opacity"], [node(child) for child in one["children"]])
        found = next(layers)
        full = Image.open(archive.open(found["file"])).convert("RGBA")
        trimmed = Image.open(archive.open(found["trimmed_file"]))
        assert full.size == size, found
        placed = Image.new("RGBA", size)
        placed.paste(trimmed, (found["x"], found["y"]))
        same(premultiplied(full), premultiplied(placed), f"{found['name']}, trimmed and whole")
        at = (found["x"], found["y"])
        return layer(found["name"], found["visible"], found["opacity"], trimmed, at, found["text"] or "")

    assert Image.open(archive.open("preview.jpg")).size[0] > 0
    return size, [node(one) for one in manifest["tree"]], None


def premultiplied(picture):
    pixels = np.asarray(picture.convert("RGBA")).astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    return pixels


def stacked(nodes, size):
    """The nodes over each other, in floats, premultiplied."""
    total = np.zeros((size[1], size[0], 4), np.float32)
    for node in nodes:
        if not node["visible"]:
            continue
        if "nodes" in node:
            top, (left, upper) = stacked(node["nodes"], size), (0, 0)
        else:
            top, (left, upper) = premultiplied(node["picture"]), node["box"][:2]
        # What lies outside of the canvas is not seen.
        top = top[max(0, -upper) :, max(0, -left) :]
        left, upper = max(0, left), max(0, upper)
        top = top[: max(0, size[1] - upper), : max(0, size[0] - left)] * node["opacity"]
        place = total[upper : upper + top.shape[0], left : left + top.shape[1]]
        place *= 1 - top[..., 3:] / 255
        place += top
    return total


def same(found, expected, what, tolerance=1.01):
    # A picture is rounded to 8 bits of straight colour.
    difference = np.abs(found.round() - expected.round()).max()
    assert difference <= tolerance, f"{what}: a difference of {difference:.2f}"
    return difference


def compare(found, expected, where):
    names = [node["name"] for node in found]
    assert names == [node["name"] for node in expected], f"{where}: {names}"
    for one, wanted in zip(found, expected):
        what = f"{where}, {one['name']}"
        assert one["visible"] == wanted["visible"], f"{what}: visible is {one['visible']}"
        assert abs(one["opacity"] - wanted["opacity"]) < 0.003, f"{what}: opacity {one['opacity']}"
        assert ("nodes" in one) == ("nodes" in wanted), f"{what}: a group and a layer are not the same"
        if "nodes" in wanted:
            compare(one["nodes"], wanted["nodes"], what)
            continue
        assert one["box"] == wanted["box"], f"{what}: {one['box']} instead of {wanted['box']}"
        assert one["text"] is None or one["text"] == wanted["text"], f"{what}: {one['text']!r}"


def faded(nodes, opacity=1):
    """As a slide has it: groups have no opacity, their layers take it."""
    for node in nodes:
        if "nodes" in node:
            yield node | {"opacity": 1, "nodes": list(faded(node["nodes"], opacity * node["opacity"]))}
        else:
            yield node | {"opacity": opacity * node["opacity"]}


def seen(nodes):
    """As a slide has it: without layers and groups in which nothing can be seen."""
    for node in nodes:
        if "nodes" in node:
            node = node | {"nodes": list(seen(node["nodes"]))}
            if node["nodes"]:
                yield node
        elif not node.get("empty"):
            yield node


def main():
    folder = Path(sys.argv[1])
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    size = (expected["width"], expected["height"])
    composite = premultiplied(Image.open(folder / "composite.png"))
    readers = {"PSD": read_psd, "PPTX": read_pptx, "SVG": read_svg, "ORA": read_ora, "ZIP": read_zip}
    for name, read in readers.items():
        found_size, nodes, merged = read(folder)
        assert found_size == size, f"{name}: {found_size} instead of {size}"
        wanted = list(seen(faded(expected["nodes"]))) if name == "PPTX" else expected["nodes"]
        compare(nodes, wanted, name)
        worst = 0
        # A group that fades as a whole looks different from layers that fade one by one.
        if name != "PPTX" or wanted == list(seen(expected["nodes"])):
            worst = same(stacked(nodes, size), composite, f"{name}, its layers")
        if merged is not None:
            worst = max(worst, same(premultiplied(merged), composite, f"{name}, its merged picture"))
        print(f"{name}: {len(nodes)} nodes, names, boxes; at most {worst:.0f} of 255 off")
    if size[0] * size[1] <= COMPOSITED_MOST_PIXELS:
        found = PSDImage.open(folder / "document.psd").composite(force=True)
        # psd-tools cuts fractions off where the product rounds.
        same(premultiplied(found), composite, "PSD, composited by psd-tools", 2.01)


main()
