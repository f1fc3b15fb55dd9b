// @ts-check
import { doc } from "../editor/document.js";
import { signal, stored } from "../lib/signal.js";
import { contextOf } from "../editor/compositor.js";
import { combined, trimmed } from "./mask.js";
import { select, selection } from "./picking.js";

/**
 * Selects pixels of a colour on the picture that is seen.
 *
 * @typedef {import("../types.js").Point} Point
 */

/** How far a pixel may be from the one that was clicked in each of red, green, blue and opacity: 0 to 255. */
export const tolerance = stored("unflatten.tolerance", 24);

/** Whether only what hangs together with the pixel is selected. */
export const isContiguous = signal(true);

/**
 * @param {Point} at
 * @param {Pick<PointerEvent, "shiftKey" | "altKey">} how
 */
export function pickAlike(at, { shiftKey, altKey }) {
  const canvas = document.querySelector("un-canvas canvas");
  if (!(canvas instanceof HTMLCanvasElement) || !doc.value) return;
  const { width, height } = canvas;
  const [x, y] = [Math.floor(at.x), Math.floor(at.y)];
  if (x < 0 || y < 0 || x >= width || y >= height) return;
  const pixels = contextOf(canvas).getImageData(0, 0, width, height);
  const data = alike(pixels, y * width + x, tolerance.value, isContiguous.value);
  const mask = trimmed({ x: 0, y: 0, width, height, data });
  const whole = combined(selection.value?.mask ?? null, mask, { adds: shiftKey, takes: altKey });
  if (whole) select({ mask: whole, edge: "drawn" });
}

/**
 * 255 for each pixel that is like one of them.
 * @param {{ data: Uint8ClampedArray, width: number, height: number }} image
 * @param {number} start
 * @param {number} most
 * @param {boolean} contiguous
 */
export function alike({ data, width, height }, start, most, contiguous) {
  const out = new Uint8Array(width * height);
  const [r, g, b, a] = data.subarray(4 * start, 4 * start + 4);
  const isLike = (/** @type {number} */ at) =>
    Math.abs(data[4 * at] - r) <= most && Math.abs(data[4 * at + 1] - g) <= most &&
    Math.abs(data[4 * at + 2] - b) <= most && Math.abs(data[4 * at + 3] - a) <= most;
  if (!contiguous) {
    for (let at = 0; at < out.length; at += 1) if (isLike(at)) out[at] = 255;
    return out;
  }
  // Row by row: of each run, the ends, and the runs above and below it.
  const open = [start];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (out[at]) continue;
    const [row, end] = [at - (at % width), at - (at % width) + width];
    let [left, right] = [at, at + 1];
    while (left > row && !out[left - 1] && isLike(left - 1)) left -= 1;
    while (right < end && !out[right] && isLike(right)) right += 1;
    out.fill(255, left, right);
    for (const beside of [-width, width]) {
      if (row + beside < 0 || row + beside >= out.length) continue;
      for (let one = left + beside; one < right + beside; one += 1) {
        const isStart = one === left + beside || out[one - 1] || !isLike(one - 1);
        if (!out[one] && isStart && isLike(one)) open.push(one);
      }
    }
  }
  return out;
}
