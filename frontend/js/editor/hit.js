// @ts-check
import { contextOf, sheet } from "./compositor.js";
import { isShown } from "./display.js";
import { layersNow } from "./document.js";
import { drawnOf } from "./drawn.js";
import { backOf, boxOf, toDrawn } from "./geometry.js";
import { pixelsAt } from "./pixels.js";
import { blocksOf } from "./words.js";

/**
 * What is under a point of the canvas.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Point} Point
 * @typedef {import("../types.js").Rect} Rect
 */

// Of 255; fainter pixels are not hit.
const TOUCH_ALPHA = 24;

/** @type {CanvasRenderingContext2D | null} */
let probe = null;

/**
 * The highest shown, unlocked layer at a point of the canvas, or `null`. Words are hit between their letters too: those
 * that were read, within the box of their block; others, within their layer's, where nothing else is hit.
 * @param {Point} point
 * @returns {Layer | null}
 */
export function layerAt(point) {
  /** @type {Layer | null} */
  let around = null;
  for (const layer of [...layersNow()].reverse()) {
    if (layer.locked || !isShown(layer)) continue;
    if (isOnWords(layer, point) || hasPixel(layer, point)) return layer;
    if (layer.info.kind === "text" && isWithin(boxOf(layer), point)) around ??= layer;
  }
  return around;
}

/**
 * Whether a point is in the box of a block of words of a layer.
 * @param {Layer} layer
 * @param {Point} point
 */
export function isOnWords(layer, point) {
  const blocks = blocksOf(layer);
  // One block may have grown with its words.
  if (blocks.length === 1 && drawnOf(layer)) return isWithin(boxOf(layer), point);
  const own = backOf(layer, point);
  return blocks.some(({ read }) => read && isWithin(read.bounding_box, own));
}

/**
 * @param {Rect | null} box
 * @param {Point} point
 */
function isWithin(box, { x, y }) {
  return box !== null && x >= box.x && y >= box.y && x < box.x + box.width && y < box.y + box.height;
}

/**
 * Whether a layer has a pixel at a point that can be seen.
 * @param {Layer} layer
 * @param {Point} point
 */
function hasPixel(layer, point) {
  const bitmap = pixelsAt(layer);
  const drawn = drawnOf(layer);
  const box = drawn ? drawn.box : layer.info.bounding_box;
  if (!bitmap || !box) return false;
  const { x, y } = drawn ? toDrawn(layer, drawn.as, point) : backOf(layer, point);
  const [left, top] = [Math.floor(x - box.x), Math.floor(y - box.y)];
  if (left < 0 || top < 0 || left >= bitmap.width || top >= bitmap.height) return false;
  probe ??= contextOf(sheet({ width: 1, height: 1 }), { willReadFrequently: true });
  probe.clearRect(0, 0, 1, 1);
  probe.drawImage(bitmap, -left, -top);
  return probe.getImageData(0, 0, 1, 1).data[3] * layer.opacity > TOUCH_ALPHA;
}
