"""Opens exports with live text by psd-tools, python-pptx and the standard
library, and compares what they see with `words.json`.

python words.py FOLDER; see requirements.txt beside this file. The folder is
written by ../words.rs: `document.psd`, `.pptx`, `.svg`, `.zip`, and `words.json`
with `layers`, each with `name`, `text` (an object of the crate `typeset`) and
`runs` (of each line, the PostScript name and family of each run)."""

import json
import sys
import zipfile
from math import cos, isclose, radians, sin
from pathlib import Path
from xml.etree import ElementTree

from pptx import Presentation
from pptx.shapes.group import GroupShape
from pptx.util import Pt
from psd_tools import PSDImage

SVG = "{http://www.w3.org/2000/svg}"


def lines(text):
    return ["".join(run["text"] for run in line["runs"]) for line in text["lines"]]


def runs(layer):
    """Each run with the names of its face, lines joined."""
    for line, names in zip(layer["text"]["lines"], layer["runs"]):
        for run, (postscript, family) in zip(line["runs"], names):
            yield run, postscript, family


def rgb(run):
    colour = run["style"]["fill"]["colour"]
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def close(one, other, tolerance, what):
    assert isclose(one, other, abs_tol=tolerance), f"{what}: {one} instead of {other}"


def check_psd(folder, layers):
    found = {one.name: one for one in PSDImage.open(folder / "document.psd").descendants() if one.kind == "type"}
    missing = {layer["name"] for layer in layers} - found.keys()
    assert not missing, f"no type layers: {missing}"
    for layer in layers:
        one, text, what = found[layer["name"]], layer["text"], f"PSD, {layer['name']}"
        assert one.text == "\r".join(lines(text)), f"{what}: {one.text!r}"
        angle = radians(text.get("angle", 0))
        place = [cos(angle), sin(angle), -sin(angle), cos(angle), text["position"]["x"], text["position"]["y"]]
        for value, wanted in zip(one.transform, place):
            close(value, wanted, 1e-4, what)
        engine, fonts = one.engine_dict, one.resource_dict["FontSet"]
        styles = engine["StyleRun"]["RunArray"]
        lengths = [int(length) for length in engine["StyleRun"]["RunLengthArray"]]
        # In UTF-16 units, the end of each line with its last run.
        units = len(one.text.encode("utf-16-le")) // 2 + 1
        assert sum(lengths) == units, f"{what}: runs of {lengths} in {units} units"
        assert sum(int(length) for length in engine["ParagraphRun"]["RunLengthArray"]) == units, what
        wanted = list(runs(layer))
        assert len(styles) == len(wanted), f"{what}: {len(styles)} runs"
        for style, (run, postscript, _) in zip(styles, wanted):
            data = style["StyleSheet"]["StyleSheetData"]
            assert str(fonts[int(data["Font"])]["Name"]).strip("'") == postscript, f"{what}: {fonts}"
            close(float(data["FontSize"]), run["style"]["size"], 1e-3, what)
            close(float(data["Leading"]), run["style"]["line_height"], 1e-3, what)
            tracking = run["style"].get("letter_spacing", 0) / run["style"]["size"] * 1000
            close(float(data["Tracking"]), tracking, 0.51, what)
            values = [255 * float(value) for value in data["FillColor"]["Values"]]
            for value, colour in zip(values[1:], rgb(run)):
                close(value, colour, 0.5, what)
        justification = ["left", "right", "centre"].index(text["align"])
        assert engine["ParagraphRun"]["RunArray"][0]["ParagraphSheet"]["Properties"]["Justification"] == justification


def within(shapes):
    for shape in shapes:
        if isinstance(shape, GroupShape):
            yield from within(shape.shapes)
        else:
            yield shape


def leaves(nodes):
    for node in nodes:
        yield from leaves(node["children"]) if node["type"] == "group" else [node]


def check_pptx(folder, layers, both):
    shapes = list(within(Presentation(folder / "document.pptx").slides[0].shapes))
    names = [shape.name for shape in shapes]
    for layer in layers:
        what = f"PPTX, {layer['name']}"
        at = names.index(layer["name"])
        hidden = f"{layer['name']} (pixels)"
        assert (hidden in names) == both, f"{what}: {names}"
        if both:
            picture = shapes[names.index(hidden)]
            assert picture._element.xpath("./*/p:cNvPr")[0].get("hidden") == "1", what
            assert at == names.index(hidden) + 1, f"{what}: words lie above their pixels"
        shape, text = shapes[at], layer["text"]
        assert shape.has_text_frame, what
        assert shape.text_frame.text == "\n".join(lines(text)), f"{what}: {shape.text_frame.text!r}"
        close(shape.rotation, text.get("angle", 0) % 360, 1e-3, what)
        found = [run for paragraph in shape.text_frame.paragraphs for run in paragraph.runs]
        for run, (wanted, _, family) in zip(found, runs(layer), strict=True):
            # 96 pixels an inch.
            close(run.font.size / Pt(1), wanted["style"]["size"] * 0.75, 0.01, what)
            # Weights beside regular and bold are families of their own there.
            name = run.font.name
            assert name == family or name.startswith(family), f"{what}: {name}"
            east_asian = run._r.xpath("./a:rPr/a:ea")[0].get("typeface")
            assert east_asian == name, f"{what}: {east_asian}"
            assert list(run.font.color.rgb) == rgb(wanted), f"{what}: {run.font.color.rgb}"
            assert run.font.bold == (wanted["style"]["weight"] >= 600 and name == family), what


def check_svg(folder, layers, both):
    root = ElementTree.parse(folder / "document.svg").getroot()
    groups = {one.find(f"{SVG}title").text: one for one in root.iter(f"{SVG}g") if one.find(f"{SVG}title") is not None}
    for layer in layers:
        group, what = groups[layer["name"]], f"SVG, {layer['name']}"
        hidden = [one for one in group.iter(f"{SVG}g") if one.get("style") == "display:none"]
        assert len(hidden) == both and len(list(group.iter(f"{SVG}image"))) == both, what
        spans = group.findall(f".//{SVG}text/{SVG}tspan")
        assert ["".join(span.itertext()) for span in spans] == lines(layer["text"]), what
        inner = [one for span in spans for one in span]
        for span, (run, _, family) in zip(inner, runs(layer), strict=True):
            assert span.get("font-family").startswith(f"'{family}'"), f"{what}: {span.get('font-family')}"
            close(float(span.get("font-size")), run["style"]["size"], 1e-3, what)
            assert span.get("fill") == "#%02x%02x%02x" % tuple(rgb(run)), f"{what}: {span.get('fill')}"


def check_zip(folder, layers):
    manifest = json.loads(zipfile.ZipFile(folder / "document.zip").read("manifest.json"))
    found = {node["name"]: node["live_text"][0] for node in leaves(manifest["tree"]) if "live_text" in node}
    for layer in layers:
        text = found[layer["name"]]
        assert lines(text) == lines(layer["text"]), layer["name"]
        assert text["lines"][0]["runs"][0]["style"]["family"] == layer["text"]["lines"][0]["runs"][0]["style"]["family"]


def main():
    folder = Path(sys.argv[1])
    expected = json.loads((folder / "words.json").read_text("utf-8"))
    layers, both = expected["layers"], expected["both"]
    check_psd(folder, layers)
    check_pptx(folder, layers, both)
    check_svg(folder, layers, both)
    check_zip(folder, layers)
    print(f"{len(layers)} text layers by psd-tools, python-pptx and as XML")


main()
