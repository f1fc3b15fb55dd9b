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
 * By result and number: copies of a layer have the same pixels.
 * @type {Map<string, ImageBitmap>}
 */
const bitmaps = new Map();
/**
 * Those that are on their way.
 * @type {Set<string>}
 */
const loading = new Set();

/** @type {(layer: Pick<Layer, "job" | "info">) => string} */
export const nameOf = ({ job, info }) => `${job}/${info.z_index}`;

/**
 * The pixels that the engine made of a layer, within their bounding box; absent for empty layers and until they have arrived.
 * @param {Layer} layer
 */
export const bitmapOf = (layer) => bitmaps.get(nameOf(layer));

/**
 * Fetches the pixels of layers; each one is shown as it arrives.
 * @param {Layer[]} layers
 */
export function loadBitmaps(layers) {
  for (const layer of layers) load(layer);
}

/** @param {Layer} layer */
async function load(layer) {
  const { job, info } = layer;
  const [name, box, id] = [nameOf(layer), info.bounding_box, doc.value?.id];
  if (!box || bitmaps.has(name) || loading.has(name)) return;
  loading.add(name);
  try {
    const response = await fetch(urls.layer(job, info.z_index));
    if (!response.ok) throw new Error(response.statusText);
    // Kept trimmed: eight full canvases of a large poster would not fit a phone.
    const bitmap = await createImageBitmap(await response.blob(), box.x, box.y, box.width, box.height, { colorSpaceConversion: "none" });
    if (doc.value?.id !== id) return bitmap.close();
    bitmaps.set(name, bitmap);
    loading.delete(name);
    arrived.value += 1;
  } catch {
    if (doc.value?.id === id) notify("error", t("error.layer", { name: info.name }));
  }
}

/** Frees all pixels. */
export function closeBitmaps() {
  for (const bitmap of bitmaps.values()) bitmap.close();
  bitmaps.clear();
  loading.clear();
}
