import * as api from "../lib/api.js";
import { signal, stored } from "../lib/signal.js";
import { around, boxOf, middleOf, scaledAbout } from "./geometry.js";
import { flushEdits, loadEdits, saveEdits } from "./kept.js";
import { withStored } from "./stored.js";
import { gathered, groupOf, membersOf, pathOf, placed, shifted } from "./tree.js";
import { notify } from "../state.js";
import { t } from "../lib/i18n.js";

/**
 * The layers on the page, the lowest first: `{ id, width, height, layers }`, each
 * layer as `fresh` makes it. Never changed in place: each edit makes a new value,
 * so that undo can keep the old ones.
 */
export const doc = signal(null);

/** Key of the one layer or group that is shown alone, or `null`. */
export const solo = signal(null);

/** Key of the layer or group that is worked on, or `null`. */
export const selected = signal(null);

/** What the canvas shows: `layers`, `input` or `compare`. */
export const mode = signal("layers");

/** What is behind the layers: `checker`, `white`, `black` or `magenta`. */
export const ground = stored("unflatten.ground", "checker");

/** Raised by one whenever another layer's pixels have arrived. */
export const arrived = signal(0);

/** What is being dragged on the canvas and how far it is from its place: `{ key, dx, dy }`, or `null`. */
export const dragged = signal(null);

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
    const groups = [...layer.groups, { key: layer.key, name: layer.info.name }];
    const place = { job, origin: { x: layer.origin.x + x, y: layer.origin.y + y }, groups };
    return await unfold(metadata, place, []);
  } catch {
    // Still at work, failed or deleted: the layer stands for itself.
    return null;
  }
}

/** The layers of a result as the service has them, with what was edited over the API; `error` where that is not known. */
async function deliver(id, metadata) {
  const stored = api.tree(id).then((tree) => ({ tree }), (error) => ({ error }));
  const layers = await unfold(metadata, { job: id, origin: { x: 0, y: 0 }, groups: [] }, []);
  const { tree, error } = await stored;
  return { layers: tree ? withStored(layers, tree) : layers, error };
}

/** Brings a result to the page, with the edits that this browser kept. Its pixels arrive one layer after another. */
export async function openDocument(id, metadata) {
  closeDocument();
  const turn = ++openings;
  const { width, height } = metadata.canvas ?? metadata.input;
  for (const info of metadata.layers) keyFor(id, info.z_index);
  const { layers, error } = await deliver(id, metadata);
  if (turn !== openings) return;
  if (error) notify("error", error.message);
  delivered = layers;
  const edited = loadEdits(id, layers);
  doc.value = { id, width, height, layers: edited === layers ? layers : gathered(edited) };
  if (edited !== layers) past = [layers];
  history.value = { undo: past.length > 0, redo: false };
  for (const layer of layers) load(layer);
}

/** Puts what a layer was split into in its place, as a group with the layer's key. */
export function replaceWithParts(key, parts) {
  // Undoing an edit, or all of them, must not bring the layer back below its parts.
  const unfolded = (layers) => layers.flatMap((layer) => (layer.key === key ? follow(layer, parts) : [layer]));
  delivered = unfolded(delivered);
  past = past.map(unfolded);
  future = future.map(unfolded);
  put(unfolded(doc.value.layers));
  for (const layer of parts) load(layer);
}

/** The parts of a layer that was changed take that over. */
function follow(layer, parts) {
  const { key, name, visible, locked, opacity, x, y, scale, hue, saturation, lightness } = layer;
  const named = (group) => (group.key === key ? { key, name } : (layer.groups.find((one) => one.key === group.key) ?? group));
  const moved = parts.map((part) => ({
    ...part, visible, locked, opacity, x, y, hue, saturation, lightness, groups: part.groups.map(named),
  }));
  return scale === 1 ? moved : scaledAbout(moved, scale, middleOf(boxOf(layer)));
}

export function closeDocument() {
  openings += 1;
  flushEdits();
  keys.clear();
  delivered = [];
  for (const bitmap of bitmaps.values()) bitmap.close();
  bitmaps.clear();
  doc.value = null;
  solo.value = null;
  selected.value = null;
  dragged.value = null;
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

/** The name of a layer or group. */
export const nameOf = (key) => layerOf(key)?.name ?? groupOf(doc.value.layers, key)?.name;

/** Where a layer's or a group's pixels lie on the canvas; `null` where there are none. */
export const boxAt = (key) => around(membersOf(doc.value.layers, key).map(boxOf));

export function isShown(layer) {
  return solo.value === null ? layer.visible : pathOf(layer).includes(solo.value);
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

/** Changes fields of a layer, or of all parts of a group. */
export function editLayer(key, fields, merge = null) {
  editMembers(key, (members) => members.map((layer) => ({ ...layer, ...fields })), merge);
}

/** Moves a layer or a group. */
export function moveBy(key, dx, dy, merge = null) {
  editMembers(key, (members) => members.map((layer) => ({ ...layer, x: layer.x + dx, y: layer.y + dy })), merge);
}

/**
 * Scales a group about its middle until its lowest layer has `scale`; in a row of
 * merged edits from where they began, so that rounding does not add up.
 */
export function scaleTo(key, scale, merge) {
  const change = (members) => scaledAbout(members, scale / members[0].scale, middleOf(around(members.map(boxOf))));
  editMembers(key, change, merge, merge === lastMerge ? past.at(-1) : doc.value.layers);
}

/** Gives a layer or a group another name. */
export function rename(key, name, merge) {
  if (layerOf(key)) return editLayer(key, { name }, merge);
  const named = (group) => (group.key === key ? { key, name } : group);
  editMembers(key, (members) => members.map((layer) => ({ ...layer, groups: layer.groups.map(named) })), merge);
}

function editMembers(key, change, merge, before = doc.value.layers) {
  const members = membersOf(before, key);
  const changed = new Map(change(members).map((layer) => [layer.key, layer]));
  edit(before.map((layer) => changed.get(layer.key) ?? layer), merge);
}

/** Ends a row of merged edits. */
export function endEdit() {
  lastMerge = null;
}

/** Moves a layer or group up (+1) or down (-1) among its neighbours. */
export function shift(key, by) {
  const layers = shifted(doc.value.layers, key, by);
  if (layers) edit(layers);
}

/** Puts a layer or group where another one is; a part stays in its group. */
export function place(key, target) {
  const layers = placed(doc.value.layers, key, target);
  if (layers) edit(layers);
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
