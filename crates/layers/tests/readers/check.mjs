// Opens document.psd with ag-psd and compares what it sees with expected.json:
// node check.mjs FOLDER. See check.py for what the folder holds; composite.rgba
// is the composite as rows of straight RGBA. `NODE_PATH` leads to ag-psd.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { initializeCanvas, readPsd } = createRequire(import.meta.url)("ag-psd");
// There is no canvas here: pixels are wanted, not pictures.
const noCanvas = () => {
  throw new Error("ag-psd asks for a canvas");
};
initializeCanvas(noCanvas, (width, height) => ({ width, height, data: new Uint8ClampedArray(width * height * 4) }));
const folder = process.argv[2];
const expected = JSON.parse(readFileSync(join(folder, "expected.json"), "utf8"));
const { width, height } = expected;
const psd = readPsd(readFileSync(join(folder, "document.psd")), { useImageData: true, skipThumbnail: true });
const composite = readFileSync(join(folder, "composite.rgba"));

function check(is, words) {
  if (!is) throw new Error(words);
}

function compare(found, wanted, where) {
  const names = (nodes) => JSON.stringify(nodes.map((node) => node.name));
  check(names(found) === names(wanted), `${where}: ${names(found)} instead of ${names(wanted)}`);
  found.forEach((node, at) => {
    const want = wanted[at];
    const what = `${where}, ${node.name}`;
    check(!node.hidden === want.visible, `${what}: hidden is ${node.hidden}`);
    check(Math.abs((node.opacity ?? 1) - want.opacity) < 0.003, `${what}: opacity ${node.opacity}`);
    check(Boolean(node.children) === Boolean(want.nodes), `${what}: a group and a layer are not the same`);
    if (want.nodes) return compare(node.children, want.nodes, what);
    const box = [node.left, node.top, node.right, node.bottom];
    check(box.join() === want.box.join(), `${what}: ${box} instead of ${want.box}`);
  });
}

/** Premultiplied sums in floats, 0 to 255. */
function stacked(nodes) {
  const total = new Float32Array(width * height * 4);
  const over = (at, r, g, b, alpha) => {
    const rest = 1 - alpha / 255;
    [r, g, b, alpha].forEach((value, c) => (total[at + c] = value + total[at + c] * rest));
  };
  for (const node of nodes) {
    if (node.hidden) continue;
    const opacity = node.opacity ?? 1;
    if (node.children) {
      const group = stacked(node.children);
      for (let at = 0; at < group.length; at += 4) over(at, ...group.subarray(at, at + 4).map((value) => value * opacity));
      continue;
    }
    const { imageData, left, top } = node;
    if (!imageData) continue;
    for (let y = Math.max(0, -top); y < imageData.height && y + top < height; y += 1) {
      for (let x = Math.max(0, -left); x < imageData.width && x + left < width; x += 1) {
        const from = (y * imageData.width + x) * 4;
        const [r, g, b, a] = imageData.data.subarray(from, from + 4);
        if (a === 0) continue;
        const alpha = a * opacity;
        over(((y + top) * width + x + left) * 4, (r * alpha) / 255, (g * alpha) / 255, (b * alpha) / 255, alpha);
      }
    }
  }
  return total;
}

function same(found, what) {
  let worst = 0;
  for (let at = 0; at < found.length; at += 4) {
    const alpha = composite[at + 3];
    for (let c = 0; c < 4; c += 1) {
      const wanted = c === 3 ? alpha : Math.round((composite[at + c] * alpha) / 255);
      worst = Math.max(worst, Math.abs(Math.round(found[at + c]) - wanted));
    }
  }
  check(worst <= 1, `${what}: a difference of ${worst}`);
  return worst;
}

check(psd.width === width && psd.height === height, `${psd.width} x ${psd.height} instead of ${width} x ${height}`);
compare(psd.children, expected.nodes, "PSD");
const worst = same(stacked(psd.children), "its layers");
check(psd.imageData?.width === width, "ag-psd finds no merged picture");
console.log(`PSD by ag-psd: ${psd.children.length} nodes, names, boxes; at most ${worst} of 255 off`);
