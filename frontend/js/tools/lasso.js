// @ts-check
import { around } from "../editor/geometry.js";
import { tool } from "../editor/display.js";
import { doc } from "../editor/document.js";
import { signal } from "../lib/signal.js";
import { combined, maskOf } from "./mask.js";
import { select, selection } from "./picking.js";

/**
 * A line that is being drawn around something, and where the pointer is.
 *
 * @typedef {import("../types.js").Point} Point
 * @typedef {{ points: Point[], next: Point | null, adds: boolean, takes: boolean }} Line
 */

/** @type {import("../lib/signal.js").Signal<Line | null>} */
export const lasso = signal(null);

tool.subscribe(() => (lasso.value = null));

/** Selects what is within the line. */
export function closeLasso() {
  const line = lasso.value;
  lasso.value = null;
  if (!line || line.points.length < 3 || !doc.value) return;
  const box = around(line.points.map(({ x, y }) => ({ x, y, width: 1, height: 1 })));
  const mask = box && maskOf(doc.value, box, (context) => {
    context.beginPath();
    for (const { x, y } of line.points) context.lineTo(x, y);
    context.fill();
  });
  const whole = combined(selection.value?.mask ?? null, mask, line);
  if (whole) select({ mask: whole, edge: "drawn" });
}
