import { urls } from "../lib/api.js";
import { signal, stored } from "../lib/signal.js";
import { notify } from "../state.js";
import { t } from "../lib/i18n.js";

/**
 * The layers on the page, the lowest first: `{ id, width, height, layers }`, each
 * layer as `fresh` makes it. Never changed in place: each edit makes a new value,
 * so that undo can keep the old ones.
 */
export const doc = signal(null);

/** Key of the one layer that is shown alone, or `null`. */
export const solo = signal(null);

/** Key of the layer that is worked on, or `null`. */
export const selected = signal(null);

/** What the canvas shows: `layers`, `input` or `compare`. */
export const mode = signal("layers");

/** What is behind the layers: `checker`, `white`, `black` or `magenta`. */
export const ground = stored("unflatten.ground", "checker");

/** Raised by one whenever another layer's pixels have arrived. */
export const arrived = signal(0);

/** `{ undo, redo }`: whether there is anything to take back or do again. */
export const history = signal({ undo: false, redo: false });

const bitmaps = new Map();
const HISTORY_MAX = 100;
let past = [];
let future = [];
let lastMerge = null;

/** A layer's pixels within its bounding box; absent for empty layers and until they have arrived. */
export const bitmapOf = (key) => bitmaps.get(key);

/** Whether the pixels of all layers are there. */
export function isComplete() {
  return doc.value.layers.every(({ key, info }) => info.bounding_box === null || bitmaps.has(key));
}

/**
 * A layer as the service delivered it. `info` is its part of `metadata.json`;
 * `x`, `y` say how far it was moved in pixels, `scale` is about its middle, `hue`
 * is in degrees, `saturation` and `lightness` are factors.
 */
function fresh(info, key) {
  return {
    key, info, name: info.name, visible: true, locked: false,
    opacity: 1, x: 0, y: 0, scale: 1, hue: 0, saturation: 1, lightness: 1,
  };
}

/** Brings a result to the page. Its pixels arrive one layer after another. */
export function openDocument(id, metadata) {
  closeDocument();
  const layers = metadata.layers.map(fresh);
  doc.value = { id, width: metadata.input.width, height: metadata.input.height, layers };
  for (const layer of layers) load(id, layer);
}

export function closeDocument() {
  for (const bitmap of bitmaps.values()) bitmap.close();
  bitmaps.clear();
  doc.value = null;
  solo.value = null;
  selected.value = null;
  mode.value = "layers";
  past = [];
  future = [];
  lastMerge = null;
  history.value = { undo: false, redo: false };
}

async function load(id, { key, info }) {
  const box = info.bounding_box;
  if (box === null) return;
  try {
    const response = await fetch(urls.layer(id, info.z_index));
    if (!response.ok) throw new Error(response.statusText);
    // Kept trimmed: eight full canvases of a large poster would not fit a phone.
    const bitmap = await createImageBitmap(await response.blob(), box.x, box.y, box.width, box.height, { colorSpaceConversion: "none" });
    if (doc.value?.id !== id) return bitmap.close();
    bitmaps.set(key, bitmap);
    arrived.value += 1;
  } catch {
    if (doc.value?.id === id) notify("error", t("error.layer", { name: info.name }));
  }
}

export const layerOf = (key) => doc.value?.layers.find((layer) => layer.key === key) ?? null;

/** Where a layer's pixels lie on the canvas now. */
export function boxOf({ info, x, y, scale }) {
  const box = info.bounding_box;
  if (!box) return null;
  const [width, height] = [box.width * scale, box.height * scale];
  return { x: box.x + x + (box.width - width) / 2, y: box.y + y + (box.height - height) / 2, width, height };
}

export function isShown(layer) {
  return solo.value === null ? layer.visible : solo.value === layer.key;
}

/**
 * Replaces the layers. Edits in a row with the same `merge` are taken back as
 * one (a slider, a nudged layer).
 */
export function edit(layers, merge = null) {
  if (merge === null || merge !== lastMerge) past = [...past, doc.value.layers].slice(-HISTORY_MAX);
  lastMerge = merge;
  future = [];
  put(layers);
}

/** Changes fields of one layer. */
export function editLayer(key, fields, merge = null) {
  edit(doc.value.layers.map((layer) => (layer.key === key ? { ...layer, ...fields } : layer)), merge);
}

/** Ends a row of merged edits. */
export function endEdit() {
  lastMerge = null;
}

/** Moves a layer up (+1) or down (-1) in the stack. */
export function shift(key, by) {
  const layers = [...doc.value.layers];
  const from = layers.findIndex((layer) => layer.key === key);
  const to = from + by;
  if (to < 0 || to >= layers.length) return;
  layers.splice(to, 0, ...layers.splice(from, 1));
  edit(layers);
}

/** Everything as the service delivered it. */
export function reset() {
  const layers = doc.value.layers.map(({ info, key }) => fresh(info, key));
  edit(layers.sort((a, b) => a.key - b.key));
}

function put(layers) {
  doc.value = { ...doc.value, layers };
  history.value = { undo: past.length > 0, redo: future.length > 0 };
}

export function undo() {
  if (past.length === 0) return;
  future = [doc.value.layers, ...future];
  const layers = past.at(-1);
  past = past.slice(0, -1);
  lastMerge = null;
  put(layers);
}

export function redo() {
  if (future.length === 0) return;
  past = [...past, doc.value.layers];
  const [layers, ...rest] = future;
  future = rest;
  lastMerge = null;
  put(layers);
}
