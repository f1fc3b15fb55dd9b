// @ts-check
import { arrived, bitmapOf, nameOf } from "./bitmaps.js";
import { doc, layersNow } from "./document.js";
import { drawnOf, isAsDrawn } from "./drawn.js";
import { filterOf } from "./filter.js";
import { uprightOf } from "./geometry.js";

/**
 * Layers in another size or turn, or with effects, made as the service makes them, so that the page shows what files have. A worker makes
 * them once their edit rests.
 *
 * @typedef {import("../types.js").Layer} Layer
 */

/**
 * Pixels that reach beyond their layer's box by so much to the left and above. With effects they have the layer's colours:
 * those of the effects stay as they are.
 * @typedef {{ bitmap: ImageBitmap, left: number, above: number, isColoured: boolean }} Made
 */

/** Sliders and drags change a layer many times a second. */
const WAIT_MS = 120;
/** The most pixels that are kept of layers that are shown no longer. */
const KEPT_PIXELS = 24e6;

/**
 * By what they are made of: the one that was asked for last at the end.
 * @type {Map<string, Made>}
 */
const made = new Map();
/**
 * By the number of the order: what is on its way.
 * @type {Map<number, { key: string, isColoured: boolean }>}
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

/**
 * Numbers of words that were drawn.
 * @type {WeakMap<ImageBitmap, number>}
 */
const numbers = new WeakMap();
let drawnWords = 0;

/**
 * What a layer's pixels are made of: those of its words, or the engine's, which are scaled and turned. Absent until they have
 * arrived.
 * @param {Layer} layer
 */
function sourceOf(layer) {
  const drawn = drawnOf(layer);
  if (drawn?.bitmap && isAsDrawn(layer, drawn)) {
    const { bitmap } = drawn;
    const number = numbers.get(bitmap) ?? (drawnWords += 1);
    numbers.set(bitmap, number);
    return { name: `words ${number}`, bitmap, size: { width: bitmap.width, height: bitmap.height }, turn: 0 };
  }
  const [bitmap, size] = [bitmapOf(layer), uprightOf(layer)];
  if (drawn || layer.text || !bitmap || !size) return null;
  return { name: nameOf(layer), bitmap, size: { width: size.width, height: size.height }, turn: Math.fround(layer.rotation) };
}

/** @param {Layer} layer */
function keyOf(layer) {
  const { name, size, turn } = sourceOf(layer) ?? {};
  const look = layer.effects ? `${filterOf(layer)} ${JSON.stringify(layer.effects)}` : "";
  return `${name} ${size?.width}x${size?.height} ${turn} ${look}`;
}

/**
 * Whether a layer's pixels are those that it is made of.
 * @param {Layer} layer
 */
export function isPlain(layer) {
  if (layer.effects) return false;
  const [before, now] = [layer.info.bounding_box, uprightOf(layer)];
  return layer.text !== null || (layer.rotation % 360 === 0 && before?.width === now?.width && before?.height === now?.height);
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

/** Every layer that is not plain and whose source is there, by the key of what it needs. */
const needed = () => new Map(layersNow().filter((layer) => !isPlain(layer) && sourceOf(layer)).map((layer) => [keyOf(layer), layer]));

const soon = () => {
  clearTimeout(timer);
  timer = setTimeout(order, WAIT_MS);
};
doc.subscribe(soon);
arrived.subscribe(soon);

function order() {
  const wanted = needed();
  for (const [key, layer] of wanted) {
    const kept = made.get(key);
    if (kept) {
      made.delete(key);
      made.set(key, kept);
    } else if (!failed.has(key) && ![...ordered.values()].some((one) => one.key === key)) {
      send(key, layer);
    }
  }
  forget(wanted);
}

/**
 * @param {string} key
 * @param {Layer} layer
 */
function send(key, layer) {
  const source = sourceOf(layer);
  if (!source) return;
  const { bitmap, size, turn } = source;
  const { width, height } = bitmap;
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
  if (!context) return;
  const filter = layer.effects && filterOf(layer);
  if (filter) context.filter = filter;
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  orders += 1;
  ordered.set(orders, { key, isColoured: layer.effects !== null });
  started().postMessage({ id: orders, picture: { width, height, data }, size, turn, effects: layer.effects }, [data.buffer]);
}

function started() {
  if (worker) return worker;
  worker = new Worker(new URL("../pixels/worker.js", import.meta.url), { type: "module" });
  worker.addEventListener("message", ({ data }) => void take(data));
  worker.addEventListener("error", () => {
    // Too large for its memory, or a browser without such workers.
    worker?.terminate();
    worker = null;
    for (const { key } of ordered.values()) failed.add(key);
    ordered.clear();
    arrived.value += 1;
  });
  return worker;
}

/** @param {{ id: number, left: number, above: number, width: number, height: number, data: Uint8ClampedArray }} answer */
async function take({ id, left, above, width, height, data }) {
  const of = ordered.get(id);
  if (!of) return;
  const bitmap = await createImageBitmap(new ImageData(data, width, height), { colorSpaceConversion: "none" });
  if (!ordered.delete(id)) return bitmap.close();
  made.set(of.key, { bitmap, left, above, isColoured: of.isColoured });
  arrived.value += 1;
}

/**
 * Frees what is not shown, beyond what is kept for undoing.
 * @param {Map<string, Layer>} wanted
 */
function forget(wanted) {
  let pixels = 0;
  for (const [key, { bitmap }] of [...made].reverse()) {
    pixels += bitmap.width * bitmap.height;
    if (pixels <= KEPT_PIXELS || wanted.has(key)) continue;
    made.delete(key);
    bitmap.close();
  }
}

/** Frees all. */
export function closeResampled() {
  for (const { bitmap } of made.values()) bitmap.close();
  made.clear();
  ordered.clear();
  failed.clear();
}
