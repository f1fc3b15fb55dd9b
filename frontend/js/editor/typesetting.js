// @ts-check
import * as api from "../lib/api.js";
import { failureOf, notify } from "../notices.js";
import { arrived } from "./bitmaps.js";
import { doc, layersNow } from "./document.js";
import { isAsDrawn, isDrawn, keepDrawn } from "./drawn.js";

/**
 * The service draws the words that were edited, so that the page shows what exports have.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Rect} Rect
 */

/** Sliders and keys change words many times a second. */
const WAIT_MS = 120;
/** The service draws so many at once for a client. */
const AT_ONCE = 2;
/** Rows that are looked at in one piece: all of a large canvas would take much memory. */
const STRIP = 256;

/**
 * Layers whose words are to be drawn, by key.
 * @type {Map<number, Layer>}
 */
const queue = new Map();
let running = 0;
/**
 * Words that could not be drawn.
 * @type {WeakSet<import("../types.js").TextEdits>}
 */
const failed = new WeakSet();

doc.subscribe(() => {
  for (const layer of layersNow()) {
    if (!layer.text || isDrawn(layer) || failed.has(layer.text) || isQueued(layer)) continue;
    queue.set(layer.key, layer);
    setTimeout(next, WAIT_MS);
  }
});

/** @param {Layer} layer */
function isQueued(layer) {
  const before = queue.get(layer.key);
  return before !== undefined && before.text === layer.text && isAsDrawn(layer, { bitmap: null, box: null, as: before });
}

async function next() {
  const [layer] = queue.values();
  if (!layer || running >= AT_ONCE) return;
  queue.delete(layer.key);
  running += 1;
  await draw(layer);
  running -= 1;
  next();
}

/** @param {Layer} layer */
async function draw({ key, job, info, text, scale_x, scale_y, rotation }) {
  const id = doc.value?.id;
  const as = { scale_x, scale_y, rotation };
  if (!id || !text) return;
  try {
    const file = await api.compose(id, { elements: [{ id: 0, layer: { job_id: job, layer: info.z_index }, edit: { text, ...as } }] });
    const whole = await createImageBitmap(file, { colorSpaceConversion: "none" });
    const box = inkOf(whole);
    const bitmap = box && (await createImageBitmap(whole, box.x, box.y, box.width, box.height));
    whole.close();
    if (doc.value?.id !== id) return bitmap?.close();
    keepDrawn(key, text, { bitmap, box, as });
    arrived.value += 1;
  } catch (error) {
    if (doc.value?.id !== id) return;
    failed.add(text);
    notify("error", failureOf(error).message);
  }
}

/**
 * The smallest box around all pixels that show; `null` where none does.
 * @param {ImageBitmap} bitmap
 * @returns {Rect | null}
 */
function inkOf(bitmap) {
  const { width, height } = bitmap;
  const strip = Object.assign(document.createElement("canvas"), { width, height: Math.min(STRIP, height) });
  const context = strip.getContext("2d", { willReadFrequently: true });
  if (!context) return { x: 0, y: 0, width, height };
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let start = 0; start < height; start += STRIP) {
    const rows = Math.min(STRIP, height - start);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -start);
    const { data } = context.getImageData(0, 0, width, rows);
    for (let at = 3; at < data.length; at += 4) {
      if (data[at] === 0) continue;
      const [x, y] = [((at - 3) / 4) % width, start + Math.floor(at / 4 / width)];
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = y + 1;
    }
  }
  return right > left ? { x: left, y: top, width: right - left, height: bottom - top } : null;
}
