// @ts-check
import { urls } from "../lib/api.js";
import { t } from "../lib/i18n.js";
import { signal } from "../lib/signal.js";
import { notify } from "../notices.js";
import { doc } from "./document.js";

/** @typedef {import("../types.js").Layer} Layer */

/** Raised by one whenever another layer's pixels have arrived. */
export const arrived = signal(0);

/**
 * By result and number, or by picture: copies of a layer have the same pixels.
 * @type {Map<string, ImageBitmap>}
 */
const bitmaps = new Map();
/**
 * Those that are on their way.
 * @type {Set<string>}
 */
const loading = new Set();

/** So many pictures that no layer shows stay, for undoing. */
const UNUSED_MAX = 12;

/** @type {(layer: Pick<Layer, "job" | "info" | "picture">) => string} */
export const nameOf = ({ job, info, picture }) => picture?.id ?? `${job}/${info.z_index}`;

/**
 * The pixels of a layer, the engine's or a picture's, within their bounding box; absent for empty layers and until they have arrived.
 * @param {Layer} layer
 */
export const bitmapOf = (layer) => bitmaps.get(nameOf(layer));

/**
 * Fetches the pixels of layers; each one is shown as it arrives.
 * @param {Layer[]} layers
 */
export function loadBitmaps(layers) {
  for (const layer of layers) load(layer);
  forgetOld(layers);
}

/**
 * The same for pixels that are to be there before the layers are shown.
 * @param {Layer[]} layers
 */
export async function preload(layers) {
  await Promise.all(layers.map(load));
}

/** @param {Layer} layer */
async function load(layer) {
  const { job, info, picture } = layer;
  const [name, box, id] = [nameOf(layer), info.bounding_box, doc.value?.id];
  if (!box || !id || bitmaps.has(name) || loading.has(name)) return;
  loading.add(name);
  try {
    const response = await fetch(picture ? urls.picture(id, picture.id) : urls.layer(job, info.z_index));
    if (!response.ok) throw new Error(response.statusText);
    // Kept trimmed: eight full canvases of a large poster would not fit a phone.
    const { x, y } = picture ? { x: 0, y: 0 } : box;
    const bitmap = await createImageBitmap(await response.blob(), x, y, box.width, box.height, { colorSpaceConversion: "none" });
    if (doc.value?.id !== id) return bitmap.close();
    bitmaps.set(name, bitmap);
    loading.delete(name);
    arrived.value += 1;
  } catch {
    if (doc.value?.id === id) notify("error", t("error.layer", { name: info.name }));
  }
}

/**
 * Takes pixels that are there already.
 * @param {Layer} layer
 * @param {ImageBitmap} bitmap
 */
export function hold(layer, bitmap) {
  bitmaps.get(nameOf(layer))?.close();
  bitmaps.set(nameOf(layer), bitmap);
}

/**
 * Frees the oldest pictures that no layer shows: each stroke of a brush makes new ones.
 * @param {Layer[]} layers
 */
function forgetOld(layers) {
  const shown = new Set(layers.map(nameOf));
  const unused = [...bitmaps.keys()].filter((name) => !name.includes("/") && !shown.has(name));
  for (const name of unused.slice(0, -UNUSED_MAX)) {
    bitmaps.get(name)?.close();
    bitmaps.delete(name);
  }
}

/** Frees all pixels. */
export function closeBitmaps() {
  for (const bitmap of bitmaps.values()) bitmap.close();
  bitmaps.clear();
  loading.clear();
}
