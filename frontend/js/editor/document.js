import * as api from "../lib/api.js";
import { signal, stored } from "../lib/signal.js";
import { loadEdits, saveEdits } from "./kept.js";
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
let delivered = [];
let openings = 0;
const keys = new Map();

/** A layer's pixels within its bounding box; absent for empty layers and until they have arrived. */
export const bitmapOf = (key) => bitmaps.get(key);

/** Whether the pixels of all layers are there. */
export function isComplete() {
  return doc.value.layers.every(({ key, info }) => info.bounding_box === null || bitmaps.has(key));
}

/**
 * A layer as the service delivered it. `job` is the result that it is a layer of,
 * `info` its part of that one's `metadata.json`; `origin` is where that result's
 * canvas lies on this one, `groups` are the layers that it was split from, the
 * outermost first: `[{ key, name }]`. `x`, `y` say how far it was moved in pixels,
 * `scale` is about its middle, `hue` is in degrees, `saturation` and `lightness`
 * are factors. A layer's `key` is the same whenever the result is opened.
 */
function fresh(info, place) {
  return {
    key: keyFor(place.job, info.z_index), ...place, info, name: info.name, visible: true, locked: false,
    opacity: 1, x: 0, y: 0, scale: 1, hue: 0, saturation: 1, lightness: 1,
  };
}

/** The lowest number for the layers of the result itself, higher ones for those of layers that were split. */
function keyFor(job, number) {
  const name = `${job}/${number}`;
  if (!keys.has(name)) keys.set(name, keys.size);
  return keys.get(name);
}

/** The layers of a result; those that were split again give way to their parts. */
async function unfold(metadata, place, into) {
  for (const info of metadata.layers) {
    const layer = fresh(info, place);
    const child = metadata.children?.find((one) => one.layer === info.z_index);
    const parts = child && (await partsOf(layer, child.job_id));
    into.push(...(parts ?? [layer]));
  }
  return into;
}

/** What a layer was split into, as layers of the document; `null` while there is no such result. */
export async function partsOf(layer, job) {
  try {
    const metadata = await api.metadata(job);
    const { x, y } = metadata.input.parent;
    const groups = [...layer.groups, { key: layer.key, name: layer.name }];
    const place = { job, origin: { x: layer.origin.x + x, y: layer.origin.y + y }, groups };
    return await unfold(metadata, place, []);
  } catch {
    // Still at work, failed or deleted: the layer stands for itself.
    return null;
  }
}

/** Brings a result to the page, with the edits that this browser kept. Its pixels arrive one layer after another. */
export async function openDocument(id, metadata) {
  closeDocument();
  const turn = ++openings;
  const { width, height } = metadata.canvas ?? metadata.input;
  for (const info of metadata.layers) keyFor(id, info.z_index);
  const layers = await unfold(metadata, { job: id, origin: { x: 0, y: 0 }, groups: [] }, []);
  if (turn !== openings) return;
  delivered = layers;
  doc.value = { id, width, height, layers: loadEdits(id, layers) };
  if (doc.value.layers !== layers) past = [layers];
  history.value = { undo: past.length > 0, redo: false };
  for (const layer of layers) load(layer);
}

/** Puts what a layer was split into in its place. */
export function replaceWithParts(key, parts) {
  delivered = delivered.flatMap((layer) => (layer.key === key ? parts : [layer]));
  // Undoing an edit must not bring the layer back below its parts.
  const unfolded = (layers) => layers.flatMap((layer) => (layer.key === key ? follow(layer, parts) : [layer]));
  past = past.map(unfolded);
  future = future.map(unfolded);
  if (selected.value === key) selected.value = null;
  if (solo.value === key) solo.value = null;
  put(unfolded(doc.value.layers));
  for (const layer of parts) load(layer);
}

/** The parts of a layer that was moved, faded or recoloured take that over. */
function follow(layer, parts) {
  const { visible, opacity, x, y, hue, saturation, lightness } = layer;
  return parts.map((part) => ({ ...part, visible, opacity, x, y, hue, saturation, lightness }));
}

export function closeDocument() {
  openings += 1;
  keys.clear();
  delivered = [];
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

async function load({ key, job, info }) {
  const box = info.bounding_box;
  const { id } = doc.value;
  if (box === null || bitmaps.has(key)) return;
  try {
    const response = await fetch(api.urls.layer(job, info.z_index));
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
export function boxOf({ info, origin, x, y, scale }) {
  const box = info.bounding_box;
  if (!box) return null;
  const [width, height] = [box.width * scale, box.height * scale];
  return {
    x: origin.x + box.x + x + (box.width - width) / 2,
    y: origin.y + box.y + y + (box.height - height) / 2,
    width, height,
  };
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
  edit(delivered);
}

function put(layers) {
  doc.value = { ...doc.value, layers };
  saveEdits(doc.value.id, layers, delivered);
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
