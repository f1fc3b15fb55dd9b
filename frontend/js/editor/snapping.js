// @ts-check
import { isShown } from "./display.js";
import { doc, layersNow } from "./document.js";
import { boxOf } from "./geometry.js";
import { pathOf } from "./tree.js";

/**
 * What is moved comes to rest where its edges or middle meet those of the canvas or of other layers.
 *
 * @typedef {import("../types.js").Rect} Rect
 */

/**
 * A line that something was snapped to: across the canvas at `at`, from `from` to `to`.
 * @typedef {{ axis: "x" | "y", at: number, from: number, to: number }} Guide
 */

/** @type {(start: number, length: number) => number[]} */
const marksOf = (start, length) => [start, start + length / 2, start + length];

/**
 * How much further something goes, so that it meets a mark, in whole pixels; `null` where none is near.
 * @param {number[]} own
 * @param {{ at: number, box: Rect }[]} marks
 * @param {number} reach
 */
function nearest(own, marks, reach) {
  /** @type {{ by: number, at: number, box: Rect } | null} */
  let best = null;
  for (const mark of marks) {
    for (const one of own) {
      const by = Math.round(mark.at - one);
      if (Math.abs(mark.at - one) <= reach && (!best || Math.abs(by) < Math.abs(best.by))) best = { by, at: one + by, box: mark.box };
    }
  }
  return best;
}

/**
 * @param {Rect} box where it would be
 * @param {Rect[]} others
 * @param {number} reach from how far it is drawn to a mark, in pixels of the canvas
 * @returns {{ dx: number, dy: number, guides: Guide[] }}
 */
export function snapped(box, others, reach) {
  const across = nearest(marksOf(box.x, box.width), others.flatMap((other) => marksOf(other.x, other.width).map((at) => ({ at, box: other }))), reach);
  const down = nearest(marksOf(box.y, box.height), others.flatMap((other) => marksOf(other.y, other.height).map((at) => ({ at, box: other }))), reach);
  const [dx, dy] = [across?.by ?? 0, down?.by ?? 0];
  /** @type {Guide[]} */
  const guides = [];
  if (across) {
    guides.push({ axis: "x", at: across.at, from: Math.min(box.y + dy, across.box.y), to: Math.max(box.y + dy + box.height, across.box.y + across.box.height) });
  }
  if (down) {
    guides.push({ axis: "y", at: down.at, from: Math.min(box.x + dx, down.box.x), to: Math.max(box.x + dx + box.width, down.box.x + down.box.width) });
  }
  return { dx, dy, guides };
}

/**
 * What something can be snapped to: the canvas, and the other layers that are seen.
 * @param {number[]} keys of what is moved
 */
export function boxesBeside(keys) {
  if (!doc.value) return [];
  const { width, height } = doc.value;
  const others = layersNow().filter((layer) => isShown(layer) && !pathOf(layer).some((key) => keys.includes(key)));
  return [{ x: 0, y: 0, width, height }, ...others.flatMap((layer) => boxOf(layer) ?? [])];
}
