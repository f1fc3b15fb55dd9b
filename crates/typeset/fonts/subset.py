"""Makes the fonts that ship with the crate. Needed only to change them: the build and the tests read the results.

    pip install fonttools==4.60.1 zopfli==0.2.3.post1
    python subset.py PACKAGES

PACKAGES is a folder with the unpacked npm packages listed in FACES, each under its own name without the scope:

    npm pack @expo-google-fonts/jua@0.4.1 && mkdir jua && tar xzf expo-google-fonts-jua-0.4.1.tgz -C jua --strip 1

It writes NAME.woff, licences/PACKAGE.txt and SOURCES.tsv (file, package, version, SHA-256 of the source and of the
result). Runs with the same versions write the same bytes.
"""

import hashlib
import json
import shutil
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

# Package and file within it. No face of these reserves the name that it keeps: see README.md.
FACES = [
    ("noto-sans-kr", "300Light/NotoSansKR_300Light.ttf", "common"),
    ("noto-sans-kr", "400Regular/NotoSansKR_400Regular.ttf", "han"),
    ("noto-sans-kr", "500Medium/NotoSansKR_500Medium.ttf", "common"),
    ("noto-sans-kr", "700Bold/NotoSansKR_700Bold.ttf", "all"),
    ("noto-sans-kr", "900Black/NotoSansKR_900Black.ttf", "common"),
    ("noto-serif-kr", "400Regular/NotoSerifKR_400Regular.ttf", "common"),
    ("noto-serif-kr", "700Bold/NotoSerifKR_700Bold.ttf", "common"),
    ("black-han-sans", "400Regular/BlackHanSans_400Regular.ttf", "common"),
    ("do-hyeon", "400Regular/DoHyeon_400Regular.ttf", "common"),
    ("jua", "400Regular/Jua_400Regular.ttf", "common"),
    ("noto-sans-hebrew", "400Regular/NotoSansHebrew_400Regular.ttf", "hebrew"),
    ("noto-sans-hebrew", "700Bold/NotoSansHebrew_700Bold.ttf", "hebrew"),
    ("noto-sans-arabic", "400Regular/NotoSansArabic_400Regular.ttf", "arabic"),
    ("noto-sans-arabic", "700Bold/NotoSansArabic_700Bold.ttf", "arabic"),
    ("noto-emoji", "700Bold/NotoEmoji_700Bold.ttf", "emoji"),
]

# Latin with its accents, Greek, Russian, kana, punctuation, currency, arrows, shapes, enclosed digits, CJK punctuation, full-width forms.
PLAIN = [
    (0x20, 0x7E), (0xA0, 0x17F), (0x391, 0x3C9), (0x401, 0x451), (0x2010, 0x2027), (0x2030, 0x203B), (0x2044, 0x2044), (0x20A9, 0x20AC),
    (0x2103, 0x2103), (0x2113, 0x2122), (0x2190, 0x2199), (0x2200, 0x2212), (0x221E, 0x221E), (0x2460, 0x2473),
    (0x25A0, 0x25CF), (0x2605, 0x2606), (0x2660, 0x266A), (0x3000, 0x3011), (0x3041, 0x30FE), (0x3131, 0x318E), (0xFF01, 0xFF5E),
]
# The emoji that stand in print: faces, hands, hearts, things, weather, marks; no flags, families or skin tones.
EMOJI = [
    (0x200D, 0x200D), (0x20E3, 0x20E3), (0x203C, 0x203C), (0x2049, 0x2049), (0x231A, 0x23F3), (0x2600, 0x27BF),
    (0x2B00, 0x2BFF), (0xFE0F, 0xFE0F), (0x1F300, 0x1F3FA), (0x1F400, 0x1F64F), (0x1F680, 0x1F6FF),
    (0x1F900, 0x1F9FF),
]


def common(first, end):
    """Characters of KS X 1001, by the first byte of EUC-KR: 2350 syllables from 0xB0, 4888 Chinese ones from 0xCA."""
    rows = [bytes([row, cell]) for row in range(first, end) for cell in range(0xA1, 0xFF)]
    return {ord(row.decode("euc-kr", errors="ignore") or " ") for row in rows}


def characters(which):
    if which in ("hebrew", "arabic"):
        # Without Latin letters, which are those of another family.
        signs = {*range(0x20, 0x41), *range(0x5B, 0x61), *range(0x7B, 0x7F), *range(0x200C, 0x2010)}
        hebrew = {*range(0x591, 0x5F5), *range(0xFB1D, 0xFB50), 0x20AA}
        # Arabic and Persian; no Urdu, Pashto or Quranic marks.
        arabic = {*range(0x600, 0x670), 0x67E, 0x686, 0x698, 0x6A9, 0x6AF, 0x6CC, *range(0x6F0, 0x6FA)}
        return signs | (hebrew if which == "hebrew" else arabic)
    if which == "emoji":
        return {c for low, high in EMOJI for c in range(low, high + 1)}
    plain = {c for low, high in PLAIN for c in range(low, high + 1)}
    if which == "han":
        plain |= set(range(0xAC00, 0xD7A4)) | common(0xCA, 0xFE)
    return plain | (set(range(0xAC00, 0xD7A4)) if which == "all" else common(0xB0, 0xC9))


def main(packages):
    here = Path(__file__).parent
    rows = ["file\tpackage\tversion\tsha256 of the source\tsha256"]
    for package, file, which in FACES:
        source = packages / package / file
        options = subset.Options()
        options.hinting = False
        options.desubroutinize = True
        options.layout_features = ["kern", "liga", "mark", "mkmk", "ccmp", "locl", "calt", "rlig", "isol", "init", "medi", "fina"]
        options.drop_tables += ["DSIG", "vhea", "vmtx", "VORG", "BASE", "STAT"]
        options.name_IDs = ["*"]
        options.name_languages = ["*"]
        options.notdef_outline = True
        font = TTFont(source, recalcTimestamp=False)
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=characters(which))
        subsetter.subset(font)
        font.flavor = "woff"
        target = here / (source.stem.replace("_", "-") + ".woff")
        font.save(target)
        version = json.loads((packages / package / "package.json").read_text())["version"]
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (source, target)]
        rows.append("\t".join([target.name, "@expo-google-fonts/" + package, version, *digests]))
        shutil.copyfile(packages / package / "LICENSE_FONT", here / "licences" / (package + ".txt"))
    (here / "SOURCES.tsv").write_text("\n".join(rows) + "\n")


main(Path(sys.argv[1]))
