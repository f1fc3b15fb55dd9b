// @ts-check
import * as api from "../lib/api.js";
import { signal } from "../lib/signal.js";
import { t } from "../lib/i18n.js";
import { notify, report } from "../notices.js";
import { selected, tool } from "../editor/display.js";
import { doc, layerOf, nameOf } from "../editor/document.js";
import { preload } from "../editor/bitmaps.js";
import { layersFrom } from "../editor/elements.js";
import { takeFrom } from "../editor/history.js";
import { readMask, writeMask } from "./mask.js";
import { flush, known } from "../editor/outbox.js";

/**
 * What is being picked on the canvas: prompts, and what they show. It becomes a layer, or it is dropped.
 *
 * @typedef {import("./mask.js").Mask} Mask
 * @typedef {import("../types.js").Point} Point
 * @typedef {import("../types.js").Rect} Rect
 * @typedef {{ points: (Point & { include: boolean })[], boxes: Rect[] }} Prompts
 */

/**
 * A mask, and how its edge is taken: where the thing's own edge is, or as it was drawn.
 * @typedef {{ mask: Mask, edge: "found" | "drawn" }} Selection
 */

/**
 * What is selected for a layer of its own; `null` for nothing.
 * @type {import("../lib/signal.js").Signal<Selection | null>}
 */
export const selection = signal(null);

/**
 * What the service is asked for.
 * @type {import("../lib/signal.js").Signal<Prompts>}
 */
export const prompts = signal({ points: [], boxes: [] });

/**
 * What is waited for: a look at the picture, or the layer.
 * @type {import("../lib/signal.js").Signal<"idle" | "looking" | "lifting">}
 */
export const waiting = signal("idle");

/** Whether a click leaves out what is there. */
export const excludes = signal(false);

/** @type {AbortController | null} */
let asking = null;

// What was picked was picked on what was seen then.
doc.subscribe((now) => {
  if (!now) drop();
});
tool.subscribe(() => {
  if (!["pick", "wand", "lasso"].includes(tool.value)) drop();
});

/** Whether there is something to drop. */
export const isPicking = () => selection.value !== null || prompts.value.points.length + prompts.value.boxes.length > 0;

/** Forgets what was picked. */
export function drop() {
  asking?.abort();
  asking = null;
  if (isPicking()) [selection.value, prompts.value] = [null, { points: [], boxes: [] }];
  if (waiting.value === "looking") waiting.value = "idle";
}

/**
 * Selects a mask.
 * @param {Selection} next
 */
export function select(next) {
  drop();
  selection.value = next;
}

/**
 * @param {Point} at
 * @param {boolean} include
 */
export function addPoint({ x, y }, include) {
  // A point to leave out means nothing by itself.
  if (!include && prompts.value.points.length + prompts.value.boxes.length === 0) return;
  return ask({ ...prompts.value, points: [...prompts.value.points, { x, y, include }] });
}

/**
 * A box begins anew.
 * @param {Rect} box
 */
export function setBox(box) {
  return ask({ points: [], boxes: [box] });
}

/** Takes the latest point or box back. */
export function removeLast() {
  const { points, boxes } = prompts.value;
  const next = points.length > 0 ? { points: points.slice(0, -1), boxes } : { points, boxes: boxes.slice(0, -1) };
  if (next.boxes.length === 0 && !next.points.some((point) => point.include)) return drop();
  return ask(next);
}

/**
 * Asks what prompts show. A later question takes the place of an earlier one.
 * @param {Prompts} next
 */
async function ask(next) {
  asking?.abort();
  const mine = (asking = new AbortController());
  prompts.value = next;
  waiting.value = "looking";
  try {
    // What is edited is seen by the service, too.
    await flush();
    const id = doc.value?.id;
    if (!id || mine.signal.aborted) return;
    const { mask } = await api.previewPick(id, next, mine.signal);
    const read = await readMask(mask);
    if (asking === mine) selection.value = { mask: read, edge: "found" };
  } catch (error) {
    if (asking === mine) report(error);
  } finally {
    if (asking === mine) {
      asking = null;
      waiting.value = "idle";
    }
  }
}

/** Makes a layer of what is selected. */
export async function lift() {
  const chosen = selection.value;
  if (!chosen || waiting.value !== "idle" || !(await flush()) || !known.value) return;
  const { job_id: id, revision } = known.value;
  waiting.value = "lifting";
  await takeFrom(async () => {
    const picked = await api.pick(id, revision, { mask: writeMask(chosen.mask), edge: chosen.edge });
    // Until its pixels are there, nothing of a layer would be seen.
    await preload(layersFrom(picked.document));
    if (selection.value === chosen) drop();
    queueMicrotask(() => {
      if (doc.value?.id !== id) return;
      selected.value = picked.element;
      if (!picked.lifted) notify("info", t("pick.whole", { name: nameOf(picked.element) }));
    });
    return picked.document;
  });
  waiting.value = "idle";
}

/** The layer that what is selected can be added to: the one that is chosen, unless it is locked. */
export function target() {
  const layer = layerOf(selected.value);
  return layer && !layer.locked ? layer : null;
}

/** Moves what is selected from where it is seen to the layer that is chosen. */
export async function addToChosen() {
  const [chosen, layer] = [selection.value, target()];
  if (!chosen || !layer || waiting.value !== "idle" || !(await flush()) || !known.value) return;
  const { job_id: id, revision } = known.value;
  waiting.value = "lifting";
  await takeFrom(async () => {
    const document = await api.paint(id, revision, { to: layer.key, mask: writeMask(chosen.mask) });
    await preload(layersFrom(document));
    if (selection.value === chosen) drop();
    return document;
  });
  waiting.value = "idle";
}
