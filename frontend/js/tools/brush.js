// @ts-check
import { preload } from "../editor/bitmaps.js";
import { contextOf, sheet } from "../editor/compositor.js";
import { selected, tool } from "../editor/display.js";
import { doc, layerOf } from "../editor/document.js";
import { layersFrom } from "../editor/elements.js";
import { takeFrom } from "../editor/history.js";
import { flush, known } from "../editor/outbox.js";
import * as api from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { signal, stored } from "../lib/signal.js";
import { notify } from "../notices.js";

/**
 * Brush and eraser: a stroke is seen at once, and the service moves the pixels when it ends.
 *
 * @typedef {import("../types.js").Point} Point
 * @typedef {{ to: number, mode: "add" | "erase", points: Point[], size: number, hardness: number }} Stroke
 */

/** Diameter in pixels of the document. */
export const size = stored("unflatten.brush", 40);

/** Share of the radius from which the brush fades, in percent. */
export const hardness = stored("unflatten.hardness", 80);

/**
 * Where the brush is on the document.
 * @type {import("../lib/signal.js").Signal<Point | null>}
 */
export const brushAt = signal(null);

/** How many strokes are on their way to the service. */
export const unsent = signal(0);

/** Bounds of the brush, and the step of a key. */
export const SIZES = { least: 1, most: 400 };
const STEP = 1.25;
/** The service takes as many points. */
const POINTS_MAX = 10_000;

/** @type {Promise<void>} */
let sending = Promise.resolve();

/** @param {1 | -1} by */
export function resize(by) {
  const next = by > 0 ? Math.max(size.value + 1, size.value * STEP) : Math.min(size.value - 1, size.value / STEP);
  size.value = Math.round(Math.min(SIZES.most, Math.max(SIZES.least, next)));
}

/** @param {1 | -1} by */
export function harden(by) {
  hardness.value = Math.min(100, Math.max(0, hardness.value + 10 * by));
}

/**
 * The canvas of what is painted and not with the service yet; as large as the document.
 * @type {HTMLCanvasElement | null}
 */
let paper = null;

/** @param {HTMLCanvasElement} canvas */
export function paintOn(canvas) {
  paper = canvas;
}

/**
 * Begins a stroke on the layer that is chosen.
 * @param {Point} from
 * @param {(point: Point) => Point} toDocument
 * @returns {import("./worker.js").Press | null}
 */
export function paintFrom(from, toDocument) {
  const layer = layerOf(selected.value);
  if (!layer || !doc.value || !paper) {
    notify("info", t("brush.choose"));
    return null;
  }
  if (layer.locked) {
    notify("info", t("brush.locked"));
    return null;
  }
  if (unsent.value === 0) Object.assign(paper, { width: doc.value.width, height: doc.value.height });
  const context = contextOf(paper);
  const tip = tipOf(size.value, hardness.value / 100, tool.value === "eraser");
  /** @type {Stroke} */
  const stroke = { to: layer.key, mode: tool.value === "eraser" ? "erase" : "add", points: [from], size: size.value, hardness: hardness.value / 100 };
  stamp(context, tip, from, from);
  return {
    move(_, event) {
      const box = /** @type {HTMLElement} */ (event.currentTarget).getBoundingClientRect();
      const several = event.getCoalescedEvents?.() ?? [];
      for (const one of several.length > 0 ? several : [event]) {
        const next = toDocument({ x: one.clientX - box.left, y: one.clientY - box.top });
        const last = stroke.points[stroke.points.length - 1];
        if (stroke.points.length >= POINTS_MAX || Math.hypot(next.x - last.x, next.y - last.y) < 0.5) continue;
        // Only what the segment covers is painted.
        stamp(context, tip, last, next);
        stroke.points.push(next);
      }
    },
    up: () => send(stroke),
    cancel: wipe,
  };
}

/**
 * What the brush paints at one place.
 * @param {number} width
 * @param {number} hard
 * @param {boolean} takes
 */
function tipOf(width, hard, takes) {
  const side = Math.ceil(width) + 2;
  const tip = sheet({ width: side, height: side });
  const context = contextOf(tip);
  const [middle, radius] = [side / 2, width / 2];
  const [inner, outer] = takes ? ["rgb(120 120 125)", "rgb(120 120 125 / 0%)"] : ["rgb(230 30 120)", "rgb(230 30 120 / 0%)"];
  const fade = context.createRadialGradient(middle, middle, Math.max(0, Math.min(radius - 0.5, radius * hard)), middle, middle, radius + 0.5);
  fade.addColorStop(0, inner);
  fade.addColorStop(1, outer);
  context.fillStyle = fade;
  context.fillRect(0, 0, side, side);
  return tip;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {HTMLCanvasElement} tip
 * @param {Point} from
 * @param {Point} to
 */
function stamp(context, tip, from, to) {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const count = Math.max(1, Math.ceil(Math.hypot(dx, dy) / Math.max(1, tip.width / 6)));
  for (let at = 1; at <= count; at += 1) {
    context.drawImage(tip, from.x + (dx * at) / count - tip.width / 2, from.y + (dy * at) / count - tip.height / 2);
  }
}

/** Takes what was painted off, unless strokes are on their way. */
function wipe() {
  if (unsent.value === 0 && paper) paper.width = paper.height = 1;
}

/**
 * Strokes are sent one after the other.
 * @param {Stroke} stroke
 */
function send(stroke) {
  unsent.value += 1;
  sending = sending.then(() => paint(stroke)).finally(() => {
    unsent.value -= 1;
    wipe();
  });
}

/** @param {Stroke} stroke */
async function paint(stroke) {
  if (!(await flush()) || !known.value) return notify("info", t("document.waiting"));
  const { job_id: id, revision } = known.value;
  await takeFrom(async () => {
    const document = await api.paint(id, revision, stroke);
    // Until its pixels are there, nothing of a layer would be seen.
    await preload(layersFrom(document));
    return document;
  });
}
