// Opens document.psd with ag-psd and compares its type layers with words.json:
// node words.mjs FOLDER. See words.py for what the folder holds.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { initializeCanvas, readPsd } = createRequire(import.meta.url)("ag-psd");
const noCanvas = () => {
  throw new Error("ag-psd asks for a canvas");
};
initializeCanvas(noCanvas, (width, height) => ({ width, height, data: new Uint8ClampedArray(width * height * 4) }));
const folder = process.argv[2];
const { layers } = JSON.parse(readFileSync(join(folder, "words.json"), "utf8"));
const psd = readPsd(readFileSync(join(folder, "document.psd")), { useImageData: true, skipThumbnail: true });

function check(is, words) {
  if (!is) throw new Error(words);
}

const close = (one, other, most, what) => check(Math.abs(one - other) <= most, `${what}: ${one} instead of ${other}`);

const leaves = (nodes) => nodes.flatMap((node) => (node.children ? leaves(node.children) : [node]));

for (const layer of layers) {
  const found = leaves(psd.children).find((one) => one.name === layer.name);
  const what = `PSD by ag-psd, ${layer.name}`;
  check(found?.text, `${what}: no type layer`);
  const lines = layer.text.lines.map((line) => line.runs.map((run) => run.text).join(""));
  check(found.text.text === lines.join("\n"), `${what}: ${JSON.stringify(found.text.text)}`);
  const angle = ((layer.text.angle ?? 0) * Math.PI) / 180;
  const { x, y } = layer.text.position;
  const place = [Math.cos(angle), Math.sin(angle), -Math.sin(angle), Math.cos(angle), x, y];
  place.forEach((value, at) => close(found.text.transform[at], value, 1e-4, what));
  const first = layer.text.lines[0].runs[0];
  const style = { ...found.text.style, ...(found.text.styleRuns?.[0]?.style ?? {}) };
  check(style.font?.name === layer.runs[0][0][0], `${what}: ${JSON.stringify(style.font)}`);
  close(style.fontSize, first.style.size, 1e-3, what);
  const colour = first.style.fill.colour;
  [1, 3, 5].forEach((at, c) => {
    close([style.fillColor.r, style.fillColor.g, style.fillColor.b][c], parseInt(colour.slice(at, at + 2), 16), 1, what);
  });
  const align = { left: "left", right: "right", centre: "center" }[layer.text.align];
  const paragraph = { ...found.text.paragraphStyle, ...(found.text.paragraphStyleRuns?.[0]?.style ?? {}) };
  check((paragraph.justification ?? "left") === align, `${what}: ${JSON.stringify(paragraph)}`);
  check(found.imageData && found.right > found.left, `${what}: the pixels are there`);
}
console.log(`${layers.length} type layers by ag-psd`);
