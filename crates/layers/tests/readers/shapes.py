"""Opens exports with flat shapes by psd-tools, python-pptx and the standard
library, and compares what they see with `shapes.json`.

python shapes.py FOLDER; see requirements.txt beside this file. The folder is
written by ../shapes.rs: `document.psd`, `.pptx`, `.svg`, `composite.rgba`, and
`shapes.json` with `width`, `height` and `layers`, each with `name`, `box` of its
pixels, `opacity`, `shape` (ellipse, rectangle, line, path or picture) and, for a
shape, `colour`, `alpha` and where it is: `bounds` before its turn by `angle`
degrees, or `from`, `to` and `width`. Lengths are in pixels."""

import json
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from pptx import Presentation
from pptx.enum.shapes import MSO_AUTO_SHAPE_TYPE as PRESET
from pptx.enum.shapes import MSO_SHAPE_TYPE as KIND
from psd_tools import PSDImage
from psd_tools.constants import Tag

SVG = "{http://www.w3.org/2000/svg}"
# A contour is within 1 px, a size within 1 px on each side; a primitive is found better than that.
MOST = 0.5
DEGREES = 0.3


def close(one, other, tolerance, what):
    assert abs(one - other) <= tolerance, f"{what}: {one} instead of {other}"


def all_close(found, wanted, tolerance, what):
    assert len(found) == len(wanted), f"{what}: {found}"
    for one, other in zip(found, wanted):
        close(one, other, tolerance, f"{what}, {found}")


def turned(degrees, wanted, what):
    """A turn by half of the whole is none."""
    close((degrees - wanted + 90) % 180 - 90, 0, DEGREES, what)


def ends(layer):
    return sorted([layer["from"], layer["to"]])


def check_pptx(folder, expected):
    presentation = Presentation(folder / "document.pptx")
    scale = presentation.slide_width / expected["width"]
    shapes = list(presentation.slides[0].shapes)
    assert [shape.name for shape in shapes] == [layer["name"] for layer in expected["layers"]]
    for shape, layer in zip(shapes, expected["layers"]):
        what, kind = f"PPTX, {layer['name']}", layer["shape"]
        if kind == "picture":
            assert shape.shape_type == KIND.PICTURE, what
            continue
        alpha = shape._element.xpath(".//a:alpha")
        alpha = int(alpha[0].get("val")) / 100_000 if alpha else 1
        close(alpha, layer["alpha"] / 255 * layer["opacity"], 4 / 255, what)
        if kind == "line":
            assert shape.shape_type in (KIND.LINE, None) and shape._element.tag.endswith("cxnSp"), what
            found = [[shape.begin_x / scale, shape.begin_y / scale], [shape.end_x / scale, shape.end_y / scale]]
            for one, other in zip(sorted(found), ends(layer)):
                all_close(one, other, MOST, what)
            close(shape.line.width / scale, layer["width"], MOST, what)
            assert list(shape.line.color.rgb) == layer["colour"], what
            continue
        assert list(shape.fill.fore_color.rgb) == layer["colour"], f"{what}: {shape.fill.fore_color.rgb}"
        sides = [shape.left, shape.top, shape.left + shape.width, shape.top + shape.height]
        all_close([side / scale for side in sides], layer["bounds"], MOST, what)
        turned(shape.rotation, layer.get("angle", 0), what)
        if kind == "path":
            assert shape.shape_type == KIND.FREEFORM, f"{what}: {shape.shape_type}"
            starts = shape._element.xpath(".//a:moveTo")
            assert len(starts) == layer["parts"], f"{what}: {len(starts)} parts"
            continue
        radius = layer.get("radius", 0)
        wanted = PRESET.OVAL if kind == "ellipse" else PRESET.ROUNDED_RECTANGLE if radius else PRESET.RECTANGLE
        assert shape.auto_shape_type == wanted, f"{what}: {shape.auto_shape_type}"
        if radius:
            close(shape.adjustments[0] * min(shape.width, shape.height) / scale, radius, MOST, what)


def check_svg(folder, expected):
    root = ElementTree.parse(folder / "document.svg").getroot()
    groups = root.findall(f"{SVG}g")
    for group, layer in zip(groups, expected["layers"], strict=True):
        what, kind = f"SVG, {layer['name']}", layer["shape"]
        assert group.find(f"{SVG}title").text == layer["name"], what
        inner = [one for one in group if one.tag not in (f"{SVG}title", f"{SVG}desc")]
        assert len(inner) == 1, f"{what}: {inner}"
        shape = inner[0]
        tag = shape.tag.removeprefix(SVG)
        value = lambda name: float(shape.get(name, 0))
        if kind == "picture":
            assert tag == "image", f"{what}: {tag}"
            continue
        paint = "stroke" if kind == "line" else "fill"
        assert shape.get(paint) == "#%02x%02x%02x" % tuple(layer["colour"]), what
        close(float(shape.get(f"{paint}-opacity", 1)), layer["alpha"] / 255, 4 / 255, what)
        turn = shape.get("transform")
        turned(float(turn.removeprefix("rotate(").split()[0]) if turn else 0, layer.get("angle", 0), what)
        if tag == "circle":
            x, y, rx, ry = value("cx"), value("cy"), value("r"), value("r")
        elif tag == "ellipse":
            x, y, rx, ry = (value(name) for name in ("cx", "cy", "rx", "ry"))
        if kind == "ellipse":
            assert tag in ("circle", "ellipse"), f"{what}: {tag}"
            all_close([x - rx, y - ry, x + rx, y + ry], layer["bounds"], MOST, what)
        elif kind == "rectangle":
            assert tag == "rect", f"{what}: {tag}"
            x, y, width, height = (value(name) for name in ("x", "y", "width", "height"))
            all_close([x, y, x + width, y + height], layer["bounds"], MOST, what)
            close(value("rx"), layer["radius"], MOST, what)
        elif kind == "line":
            assert tag == "line", f"{what}: {tag}"
            for one, other in zip(sorted([[value("x1"), value("y1")], [value("x2"), value("y2")]]), ends(layer)):
                all_close(one, other, MOST, what)
            close(value("stroke-width"), layer["width"], MOST, what)
            assert shape.get("stroke-linecap") == "round", what
        else:
            assert tag == "path" and shape.get("fill-rule") == "evenodd", f"{what}: {tag}"
            assert shape.get("d").count("M") == layer["parts"], what


def check_psd(folder, expected):
    psd = PSDImage.open(folder / "document.psd")
    size = (expected["width"], expected["height"])
    for one, layer in zip(psd, expected["layers"], strict=True):
        what, kind = f"PSD, {layer['name']}", layer["shape"]
        assert one.name == layer["name"] and list(one.bbox) == layer["box"], f"{what}: {one.name}, {one.bbox}"
        assert one.topil().size == one.size, f"{what}: the pixels are there"
        # A translucent fill would need an opacity of its own.
        if kind == "picture" or layer["alpha"] < 251:
            assert one.kind == "pixel", f"{what}: {one.kind}"
            continue
        assert one.kind == "shape", f"{what}: {one.kind}"
        colour = one.tagged_blocks.get_data(Tag.SOLID_COLOR_SHEET_SETTING)[b"Clr "]
        all_close([float(colour[key]) for key in (b"Rd  ", b"Grn ", b"Bl  ")], layer["colour"], 0.01, what)
        mask = one.vector_mask
        assert mask.initial_fill_rule == 0 and len(mask.paths) == layer.get("parts", 1), what
        found = [share * side for share, side in zip(mask.bbox, size + size)]
        # The pixels of the layer are those that the path touches.
        all_close(found, layer["box"], 1.01, what)
        if kind in ("path", "line") or layer.get("angle"):
            assert not one.has_origination(), what
            continue
        all_close(found, layer["bounds"], MOST, what)
        origin = one.origination[0]
        radius = layer.get("radius", 0)
        wanted = "Ellipse" if kind == "ellipse" else "RoundedRectangle" if radius else "Rectangle"
        assert type(origin).__name__ == wanted, f"{what}: {origin}"
        all_close(origin.bbox, layer["bounds"], MOST, what)
        if radius:
            close(float(origin.radii[b"topLeft"]), radius, MOST, what)
    composite = np.fromfile(folder / "composite.rgba", np.uint8).reshape(size[1], size[0], 4)
    merged = np.asarray(psd.topil().convert("RGBA")).astype(int)
    assert np.abs(merged - composite).max() <= 1, "PSD: the merged picture"
    # psd-tools draws fills and masks again; it has other antialiasing.
    drawn = np.asarray(psd.composite(force=True, ignore_preview=True).convert("RGBA")).astype(int)
    difference = np.abs(drawn - composite)[..., :3].max()
    assert difference <= 32, f"PSD: drawn from its paths, it is off by {difference}"


def main():
    folder = Path(sys.argv[1])
    expected = json.loads((folder / "shapes.json").read_text("utf-8"))
    check_pptx(folder, expected)
    check_svg(folder, expected)
    check_psd(folder, expected)
    count = sum(layer["shape"] != "picture" for layer in expected["layers"])
    print(f"{count} shapes, {len(expected['layers']) - count} pictures")


if __name__ == "__main__":
    main()
