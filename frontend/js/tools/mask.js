// @ts-check
import { contextOf, sheet } from "../editor/compositor.js";

/**
 * Masks on the page: a rectangle of the document's canvas with a value from 0 to 255 for each pixel, row by row. From 128 on
 * a pixel belongs to it.
 *
 * @typedef {{ x: number, y: number, width: number, height: number, data: Uint8Array }} Mask
 * @typedef {import("../types.js").MaskImage} MaskImage
 * @typedef {import("../types.js").Point} Point
 */

const INSIDE = 128;

/** How far an outline may leave the pixels' edges to be shorter, in pixels. */
const SLACK = 0.75;

/**
 * A mask of the service.
 * @param {MaskImage} image
 * @returns {Promise<Mask>}
 */
export async function readMask({ png, x = 0, y = 0 }) {
  const bytes = Uint8Array.from(atob(png.slice(png.indexOf(",") + 1)), (sign) => sign.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const { width, height } = bitmap;
  const context = contextOf(sheet(bitmap), { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height);
  for (let at = 0; at < data.length; at += 1) data[at] = pixels[4 * at];
  return { x, y, width, height, data };
}

/**
 * The same for the service.
 * @param {Mask} mask
 * @returns {MaskImage}
 */
export function writeMask({ x, y, width, height, data }) {
  const canvas = sheet({ width, height });
  const context = contextOf(canvas);
  const image = context.createImageData(width, height);
  for (let at = 0; at < data.length; at += 1) image.data.set([data[at], data[at], data[at], 255], 4 * at);
  context.putImageData(image, 0, 0);
  return { png: canvas.toDataURL("image/png"), x, y };
}

/**
 * The outline of a mask as a path of SVG, on the document's canvas; empty for an empty mask.
 * @param {Mask} mask
 */
export function outlineOf(mask) {
  return loopsOf(mask).map((loop) => {
    const [first, ...rest] = simplified(loop).map(({ x, y }) => `${x + mask.x} ${y + mask.y}`);
    return `M${first}L${rest.join(" ")}Z`;
  }).join("");
}

/**
 * The closed lines between what belongs to a mask and what does not, along the edges of pixels.
 * @param {Mask} mask
 * @returns {Point[][]}
 */
function loopsOf({ width, height, data }) {
  const across = width + 1;
  /** @type {Map<number, number[]>} by the corner where an edge begins, those where it ends */
  const edges = new Map();
  /** @type {(from: number, to: number) => void} */
  const add = (from, to) => void (edges.get(from)?.push(to) ?? edges.set(from, [to]));
  /** @type {(x: number, y: number) => boolean} */
  const isIn = (x, y) => x >= 0 && y >= 0 && x < width && y < height && data[y * width + x] >= INSIDE;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      if (!isIn(x, y)) continue;
      const corner = y * across + x;
      // What belongs to the mask is on the right of each edge.
      if (!isIn(x, y - 1)) add(corner, corner + 1);
      if (!isIn(x + 1, y)) add(corner + 1, corner + 1 + across);
      if (!isIn(x, y + 1)) add(corner + 1 + across, corner + across);
      if (!isIn(x - 1, y)) add(corner + across, corner);
    }
  }
  const loops = [];
  for (const [start, ends] of edges) {
    while (ends.length > 0) {
      const loop = [start];
      for (let at = ends.pop(); at !== undefined && at !== start; at = edges.get(at)?.pop()) loop.push(at);
      loops.push(loop.map((at) => ({ x: at % across, y: Math.floor(at / across) })));
    }
  }
  return loops;
}

/**
 * A closed line with fewer corners (Ramer, Douglas and Peucker).
 * @param {Point[]} loop
 * @returns {Point[]}
 */
function simplified(loop) {
  if (loop.length < 8) return loop;
  const keep = new Uint8Array(loop.length);
  const middle = loop.length >> 1;
  [keep[0], keep[middle]] = [1, 1];
  const left = [[0, middle], [middle, loop.length]];
  for (let span = left.pop(); span; span = left.pop()) {
    const [from, to] = span;
    const [start, end] = [loop[from], loop[to % loop.length]];
    const length = Math.hypot(end.x - start.x, end.y - start.y) || 1;
    let [far, farthest] = [0, SLACK];
    for (let at = from + 1; at < to; at += 1) {
      const { x, y } = loop[at];
      const off = Math.abs((end.x - start.x) * (y - start.y) - (end.y - start.y) * (x - start.x)) / length;
      if (off > farthest) [far, farthest] = [at, off];
    }
    if (far === 0) continue;
    keep[far] = 1;
    left.push([from, far], [far, to]);
  }
  return loop.filter((_, at) => keep[at]);
}

/**
 * A mask of what a shape covers on the document's canvas, with soft edges; `null` if that is nothing.
 * @param {import("../types.js").Size} canvas
 * @param {import("../types.js").Rect} box around the shape
 * @param {(context: CanvasRenderingContext2D) => void} paint paints it in white, in the document's pixels
 * @returns {Mask | null}
 */
export function maskOf(canvas, box, paint) {
  const [x, y] = [Math.max(0, Math.floor(box.x)), Math.max(0, Math.floor(box.y))];
  const width = Math.min(canvas.width, Math.ceil(box.x + box.width)) - x;
  const height = Math.min(canvas.height, Math.ceil(box.y + box.height)) - y;
  if (width <= 0 || height <= 0) return null;
  const context = contextOf(sheet({ width, height }), { willReadFrequently: true });
  context.translate(-x, -y);
  context.fillStyle = "#fff";
  paint(context);
  const pixels = context.getImageData(0, 0, width, height).data;
  const data = new Uint8Array(width * height);
  let most = 0;
  for (let at = 0; at < data.length; at += 1) most = Math.max(most, (data[at] = pixels[4 * at + 3]));
  return most >= INSIDE ? { x, y, width, height, data } : null;
}

/**
 * A mask without what is empty around it; `null` for an empty one.
 * @param {Mask} mask
 * @returns {Mask | null}
 */
export function trimmed({ x, y, width, height, data }) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let at = 0; at < data.length; at += 1) {
    if (data[at] < INSIDE) continue;
    const [column, row] = [at % width, Math.floor(at / width)];
    [left, right] = [Math.min(left, column), Math.max(right, column)];
    [top, bottom] = [Math.min(top, row), Math.max(bottom, row)];
  }
  if (right < 0) return null;
  const part = { x: x + left, y: y + top, width: right - left + 1, height: bottom - top + 1 };
  const out = new Uint8Array(part.width * part.height);
  for (let row = 0; row < part.height; row += 1) {
    const start = (top + row) * width + left;
    out.set(data.subarray(start, start + part.width), row * part.width);
  }
  return { ...part, data: out };
}

/**
 * A mask with another one added to it, taken from it, or in its place; `null` for an empty one.
 * @param {Mask | null} before
 * @param {Mask | null} mask
 * @param {{ adds: boolean, takes: boolean }} how
 * @returns {Mask | null}
 */
export function combined(before, mask, { adds, takes }) {
  if (!before || !mask || !(adds || takes)) return takes && !adds && !before ? null : mask;
  const [x, y] = [Math.min(before.x, mask.x), Math.min(before.y, mask.y)];
  const width = Math.max(before.x + before.width, mask.x + mask.width) - x;
  const height = Math.max(before.y + before.height, mask.y + mask.height) - y;
  const data = new Uint8Array(width * height);
  for (const [one, isSecond] of /** @type {const} */ ([[before, false], [mask, true]])) {
    for (let at = 0; at < one.data.length; at += 1) {
      const place = (one.y - y + Math.floor(at / one.width)) * width + one.x - x + (at % one.width);
      if (!isSecond || !takes) data[place] = Math.max(data[place], one.data[at]);
      else data[place] = Math.min(data[place], 255 - one.data[at]);
    }
  }
  return trimmed({ x, y, width, height, data });
}
