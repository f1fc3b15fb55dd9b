"""Makes the fonts in this folder: the characters of src/words.rs, out of the fonts that Debian packages.

    apt-get download fonts-noto-cjk fonts-liberation2
    for package in *.deb; do dpkg -x $package unpacked; done
    pip install fonttools
    python make_fonts.py unpacked
"""

import hashlib
import re
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont

NOTO = "usr/share/fonts/opentype/noto/"
LIBERATION = "usr/share/fonts/truetype/liberation2/"
# file here: file in the packages, family in a collection
FONTS = {
    "latin-sans.ttf": (LIBERATION + "LiberationSans-Bold.ttf", None),
    "latin-serif.ttf": (LIBERATION + "LiberationSerif-BoldItalic.ttf", None),
    "latin-mono.ttf": (LIBERATION + "LiberationMono-Bold.ttf", None),
    "korean-sans.otf": (NOTO + "NotoSansCJK-Bold.ttc", "Noto Sans CJK KR"),
    "korean-serif.otf": (NOTO + "NotoSerifCJK-Bold.ttc", "Noto Serif CJK KR"),
    "chinese-sans.otf": (NOTO + "NotoSansCJK-Bold.ttc", "Noto Sans CJK SC"),
    "chinese-serif.otf": (NOTO + "NotoSerifCJK-Bold.ttc", "Noto Serif CJK SC"),
}


def characters(here):
    words = (here.parent / "src" / "words.rs").read_text(encoding="utf-8")
    return set("".join(re.findall(r'"([^"]*)"', words)))


def wanted(name, text):
    korean = {c for c in text if "가" <= c <= "힣"}
    chinese = {c for c in text if "一" <= c <= "鿿"}
    latin = {chr(c) for c in range(32, 127)}
    return latin | {"latin": set(), "korean": korean, "chinese": chinese}[name.split("-")[0]]


def main():
    here = Path(__file__).parent
    text = characters(here)
    options = subset.Options(hinting=False, layout_features=[], name_IDs=[0, 13, 14], notdef_outline=True)
    for name, (path, family) in FONTS.items():
        source = Path(sys.argv[1]) / path
        if family is None:
            font = TTFont(source)
        else:
            [font] = [f for f in TTCollection(source).fonts if f["name"].getDebugName(1) == family]
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=[ord(c) for c in wanted(name, text)])
        subsetter.subset(font)
        font.recalcTimestamp = False
        font.save(here / name)
        data = (here / name).read_bytes()
        print(f"| `{name}` | {source.name} | `{hashlib.sha256(data).hexdigest()}` |", len(data))


main()
