// @ts-check
import { arrived, bitmapOf, nameOf } from "./bitmaps.js";
import { doc, layersNow } from "./document.js";
import { uprightOf } from "./geometry.js";

/**
 * Layers in another size or turn, made as the service makes them, so that the page shows what files have. A worker makes
 * them once their edit rests.
 *
 * @typedef {import("../types.js").Layer} Layer
 */

/** Sliders and drags change a layer many times a second. */
const WAIT_MS = 120;
/** The most pixels that are kept of layers that are shown no longer. */
const KEPT_PIXELS = 24e6;

/**
 * By result, number, size and turn: the one that was asked for last at the end.
 * @type {Map<string, ImageBitmap>}
 */
const made = new Map();
/**
 * By the number of the order: what is on its way.
 * @type {Map<number, string>}
 */
const ordered = new Map();
/**
 * What could not be made; the browser's own scaling stands in for it.
 * @type {Set<string>}
 */
const failed = new Set();
/** @type {Worker | null} */
let worker = null;
let orders = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @param {Layer} layer */
function keyOf(layer) {
  const { width = 0, height = 0 } = uprightOf(layer) ?? {};
  return `${nameOf(layer)} ${width}x${height} ${layer.rotation}`;
}

/**
 * Whether a layer's pixels are the engine's.
 * @param {Layer} layer
 */
export function isPlain(layer) {
  const [before, now] = [layer.info.bounding_box, uprightOf(layer)];
  return layer.rotation % 360 === 0 && before?.width === now?.width && before?.height === now?.height;
}

/**
 * A layer's pixels in its size and turn; absent until they are made.
 * @param {Layer} layer
 */
export function resampledOf(layer) {
  return made.get(keyOf(layer));
}

/**
 * Whether a layer's pixels cannot be made, so that nothing is waited for.
 * @param {Layer} layer
 */
export const isBeyond = (layer) => failed.has(keyOf(layer));

/** Every layer that is neither plain nor words, by the key of what it needs. */
const needed = () => new Map(layersNow().filter((layer) => !layer.text && !isPlain(layer)).map((layer) => [keyOf(layer), layer]));

const soon = () => {
  clearTimeout(timer);
  timer = setTimeout(order, WAIT_MS);
};
doc.subscribe(soon);
arrived.subscribe(soon);

function order() {
  const wanted = needed();
  for (const [key, layer] of wanted) {
    const bitmap = bitmapOf(layer);
    const kept = made.get(key);
    if (kept) {
      made.delete(key);
      made.set(key, kept);
    } else if (bitmap && !failed.has(key) && ![...ordered.values()].includes(key)) {
      send(key, layer, bitmap);
    }
  }
  forget(wanted);
}

/**
 * @param {string} key
 * @param {Layer} layer
 * @param {ImageBitmap} bitmap
 */
function send(key, layer, bitmap) {
  const size = uprightOf(layer);
  const { width, height } = bitmap;
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
  if (!size || !context) return;
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  orders += 1;
  ordered.set(orders, key);
  const picture = { width, height, data };
  started().postMessage({ id: orders, picture, size: { width: size.width, height: size.height }, turn: Math.fround(layer.rotation) }, [data.buffer]);
}

function started() {
  if (worker) return worker;
  worker = new Worker(new URL("../pixels/worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => void take(data));
  worker.addEventListener("error", () => {
    // Too large for its memory, or a browser without such workers.
    worker?.terminate();
    worker = null;
    for (const key of ordered.values()) failed.add(key);
    ordered.clear();
    arrived.value += 1;
  });
  return worker;
}

/** @param {{ id: number, width: number, height: number, data: Uint8ClampedArray }} answer */
async function take({ id, width, height, data }) {
  const key = ordered.get(id);
  if (key === undefined) return;
  const bitmap = await createImageBitmap(new ImageData(data, width, height), { colorSpaceConversion: "none" });
  ordered.delete(id);
  made.set(key, bitmap);
  arrived.value += 1;
}

/**
 * Frees what is not shown, beyond what is kept for undoing.
 * @param {Map<string, Layer>} wanted
 */
function forget(wanted) {
  let pixels = 0;
  for (const [key, bitmap] of [...made].reverse()) {
    pixels += bitmap.width * bitmap.height;
    if (pixels <= KEPT_PIXELS || wanted.has(key)) continue;
    made.delete(key);
    bitmap.close();
  }
}

/** Frees all. */
export function closeResampled() {
  for (const bitmap of made.values()) bitmap.close();
  made.clear();
  ordered.clear();
  failed.clear();
}
