// @ts-check
import { read, write } from "../lib/signal.js";

/**
 * Edits outlive a reload: this browser keeps those of the results that were
 * worked on last, by result and layer.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Editable} Editable
 */

/**
 * The changed fields of a layer; `groups` has one entry for each group that it was delivered in: the name that is new,
 * `false` where it has left the group.
 * @typedef {Partial<Editable> & { groups?: (string | false | null)[] }} Changes
 */

/**
 * The edits of one result: its layers from the lowest to the highest, each by `job/number`.
 * @typedef {{ id: string, layers: [string, Changes][], isReordered: boolean }} KeptEdits
 */

const KEY = "unflatten.edits";
const RESULTS_MAX = 24;
/**
 * The fields of a layer that can be edited.
 * @type {(keyof Editable)[]}
 */
export const FIELDS = ["name", "visible", "locked", "opacity", "x", "y", "scale", "hue", "saturation", "lightness", "text"];
// Sliders change the layers many times a second.
const WRITE_AFTER_MS = 400;

/** @type {(layer: Layer) => string} */
const nameOf = ({ job, info }) => `${job}/${info.z_index}`;

/**
 * The fields in which a layer differs from the delivered one.
 * @param {Layer} layer
 * @param {Layer} before
 * @returns {Changes}
 */
function changesOf(layer, before) {
  const changes = Object.fromEntries(FIELDS.filter((field) => layer[field] !== before[field]).map((field) => [field, layer[field]]));
  const names = before.groups.map(({ key, name }) => {
    const now = layer.groups.find((group) => group.key === key);
    if (!now) return false;
    return now.name === name ? null : now.name;
  });
  return names.some((name) => name !== null) ? { ...changes, groups: names } : changes;
}

/**
 * @param {Layer} layer
 * @param {Changes} changes
 * @returns {Layer}
 */
function changed(layer, { groups: names = [], ...fields }) {
  const isSame = names.length === layer.groups.length;
  if (!isSame) return { ...layer, ...fields };
  const groups = layer.groups.flatMap((group, at) => (names[at] === false ? [] : [{ ...group, name: names[at] || group.name }]));
  return { ...layer, ...fields, groups };
}

/** @type {() => KeptEdits[]} */
const readAll = () => read(KEY) ?? [];

/** @type {{ id: string, layers: Layer[], delivered: Layer[] } | null} */
let unwritten = null;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * Keeps how `layers` differ from those that were delivered, a moment later.
 * @param {string} id
 * @param {Layer[]} layers
 * @param {Layer[]} delivered
 */
export function saveEdits(id, layers, delivered) {
  unwritten = { id, layers, delivered };
  timer ||= setTimeout(flushEdits, WRITE_AFTER_MS);
}

/** Writes pending edits at once. */
export function flushEdits() {
  clearTimeout(timer);
  timer = undefined;
  if (!unwritten) return;
  const { id, layers, delivered } = unwritten;
  unwritten = null;
  const before = new Map(delivered.map((layer) => [layer.key, layer]));
  /** @type {KeptEdits["layers"]} */
  const kept = layers.map((layer) => [nameOf(layer), changesOf(layer, before.get(layer.key) ?? layer)]);
  const isReordered = layers.some((layer, at) => layer.key !== delivered[at]?.key);
  const isChanged = isReordered || kept.some(([, changes]) => Object.keys(changes).length > 0);
  const others = readAll().filter((one) => one.id !== id);
  write(KEY, isChanged ? [{ id, layers: kept, isReordered }, ...others].slice(0, RESULTS_MAX) : others);
}

addEventListener("pagehide", flushEdits);

/**
 * `layers` with the edits that were kept; the very same where there are none.
 * @param {string} id
 * @param {Layer[]} layers
 */
export function loadEdits(id, layers) {
  const found = readAll().find((one) => one.id === id);
  if (!found) return layers;
  const kept = new Map(found.layers);
  const edited = layers.map((layer) => changed(layer, kept.get(nameOf(layer)) ?? {}));
  // The service's order, which a script may have changed since.
  if (!found.isReordered) return edited;
  const order = new Map(found.layers.map(([name], at) => [name, at]));
  // Layers that were split since have no place of their own: they stay where their neighbours are.
  let last = -1;
  const placed = edited.map((layer) => {
    last = order.get(nameOf(layer)) ?? last + 0.001;
    return { at: last, layer };
  });
  return placed.sort((a, b) => a.at - b.at).map(({ layer }) => layer);
}
