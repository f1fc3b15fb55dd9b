// Opens document.psd with ag-psd and compares its shape layers with shapes.json:
// node shapes.mjs FOLDER. See shapes.py for what the folder holds.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const { initializeCanvas, readPsd } = createRequire(import.meta.url)("ag-psd");
const noCanvas = () => {
  throw new Error("ag-psd asks for a canvas");
};
initializeCanvas(noCanvas, (width, height) => ({ width, height, data: new Uint8ClampedArray(width * height * 4) }));
const folder = process.argv[2];
const { layers } = JSON.parse(readFileSync(join(folder, "shapes.json"), "utf8"));
const psd = readPsd(readFileSync(join(folder, "document.psd")), { useImageData: true, skipThumbnail: true });

function check(is, words) {
  if (!is) throw new Error(words);
}

const close = (one, other, most, what) => check(Math.abs(one - other) <= most, `${what}: ${one} instead of ${other}`);
let shapes = 0;
layers.forEach((layer, n) => {
  const found = psd.children[n];
  const what = `PSD by ag-psd, ${layer.name}`;
  check(found.name === layer.name, `${what}: ${found.name}`);
  check(found.imageData && found.right > found.left, `${what}: the pixels are there`);
  if (layer.shape === "picture" || layer.alpha < 251) {
    check(!found.vectorMask, `${what}: is a shape`);
    return;
  }
  shapes += 1;
  const { r, g, b } = found.vectorFill.color;
  [r, g, b].forEach((value, at) => close(value, layer.colour[at], 0.5, what));
  const { paths } = found.vectorMask;
  check(paths.length === (layer.parts ?? 1), `${what}: ${paths.length} paths`);
  check(paths[0].operation === "combine", `${what}: ${paths[0].operation}`);
  paths.slice(1).forEach((path) => check(path.operation === "exclude", `${what}: ${path.operation}`));
  const anchors = paths.flatMap((path) => path.knots.map(({ points }) => points.slice(2, 4)));
  const [x, y] = [0, 1].map((at) => anchors.map((anchor) => anchor[at]));
  // A curve reaches beyond its anchors, but not beyond the layer's pixels.
  check(Math.min(...x) > layer.box[0] - 1 && Math.max(...x) < layer.box[2] + 1, `${what}: ${x}`);
  check(Math.min(...y) > layer.box[1] - 1 && Math.max(...y) < layer.box[3] + 1, `${what}: ${y}`);
  if (layer.shape === "ellipse") {
    check(anchors.length === 4 && paths[0].knots.every((knot) => knot.linked), `${what}: four smooth knots`);
  }
  const origin = found.vectorOrigination?.keyDescriptorList?.[0];
  const isLive = layer.bounds && layer.shape !== "path" && !layer.angle;
  check(Boolean(origin) === Boolean(isLive), `${what}: ${JSON.stringify(origin)}`);
  if (isLive) {
    const box = origin.keyOriginShapeBoundingBox;
    [box.left, box.top, box.right, box.bottom].forEach((side, at) => close(side.value, layer.bounds[at], 0.5, what));
  }
});
console.log(`${shapes} shape layers by ag-psd`);
