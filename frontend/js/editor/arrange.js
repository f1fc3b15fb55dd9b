// @ts-check
import { t } from "../lib/i18n.js";
import { picked, pick } from "./display.js";
import { layersNow } from "./document.js";
import { isLocked } from "./edits.js";
import { edit } from "./history.js";
import { groupOf, membersOf, pathOf, pathTo } from "./tree.js";

/**
 * What changes which layers there are and what groups they are in. Keys name layers or groups.
 *
 * @typedef {import("../types.js").Group} Group
 * @typedef {import("../types.js").Layer} Layer
 */

/** How far a copy lies from what it is a copy of, in pixels. */
const ASIDE = 16;

/** Bits of a key that no result's layers have (`jobs::document` makes theirs from job and number). */
const OWN = 4095;

/** A key that no other element has. */
export const newKey = () => Math.floor(Math.random() * 2 ** 39) * 4096 + OWN;

/**
 * Keys without those that are inside another one of them.
 * @param {Layer[]} layers
 * @param {number[]} keys
 */
export const outermost = (layers, keys) => keys.filter((key) => !pathTo(layers, key).slice(0, -1).some((around) => keys.includes(around)));

/** @type {(layers: Layer[], keys: number[]) => Layer[]} */
const allIn = (layers, keys) => layers.filter((layer) => pathOf(layer).some((key) => keys.includes(key)));

/**
 * `layers` without what the keys stand for.
 * @param {Layer[]} layers
 * @param {number[]} keys
 */
export function without(layers, keys) {
  const gone = allIn(layers, keys);
  return layers.filter((layer) => !gone.includes(layer));
}

/**
 * A copy of a layer or group, moved `by` pixels to the right and below.
 * @param {Layer[]} members its layers
 * @param {number} key
 * @param {number} by
 * @returns {{ members: Layer[], key: number }} with the key of the copy
 */
export function copyOf(members, key, by) {
  /** @type {Map<number, number>} */
  const fresh = new Map();
  const keyFor = (/** @type {number} */ old) => fresh.get(old) ?? fresh.set(old, newKey()).get(old) ?? old;
  const copies = members.map((layer) => {
    const depth = pathOf(layer).indexOf(key);
    return {
      ...layer, key: keyFor(layer.key), x: layer.x + by, y: layer.y + by,
      // A copy of what a layer was split into is a group like any other.
      groups: layer.groups.map((group, at) => {
        if (at < depth) return group;
        const { split: _, code: __, ...plain } = group;
        return { ...plain, key: keyFor(group.key) };
      }),
    };
  });
  return { members: copies, key: keyFor(key) };
}

/**
 * `layers` with a copy of each key right above it, `by` pixels to the right and below.
 * @param {Layer[]} layers
 * @param {number[]} keys
 * @param {number} by
 * @returns {{ layers: Layer[], keys: number[] }} with the keys of the copies
 */
export function duplicated(layers, keys, by) {
  let out = layers;
  const copies = outermost(layers, keys).map((key) => {
    const copy = copyOf(membersOf(layers, key), key, by);
    const above = out.map((layer) => pathOf(layer).includes(key)).lastIndexOf(true) + 1;
    out = [...out.slice(0, above), ...copy.members, ...out.slice(above)];
    return copy.key;
  });
  return { layers: out, keys: copies };
}

/**
 * What two paths begin with.
 * @param {number[]} one
 * @param {number[]} other
 */
function shareOf(one, other) {
  const differs = one.findIndex((key, at) => key !== other[at]);
  return differs < 0 ? one : one.slice(0, differs);
}

/**
 * `layers` with a group around what the keys stand for, where the highest of them is, inside the groups that are around
 * all of them.
 * @param {Layer[]} layers
 * @param {number[]} keys
 * @param {Group} group
 */
export function grouped(layers, keys, group) {
  const roots = outermost(layers, keys);
  const parents = roots.map((key) => pathTo(layers, key).slice(0, -1));
  const shared = parents.reduce(shareOf, parents[0] ?? []);
  const depth = shared.length;
  const members = allIn(layers, roots);
  const highest = members.at(-1);
  if (!highest) return layers;
  const unit = pathOf(highest)[depth];
  const at = layers.indexOf(highest);
  const inner = members.map((layer) => {
    const from = pathOf(layer).findIndex((key) => roots.includes(key));
    return { ...layer, groups: [...layer.groups.slice(0, depth), group, ...layer.groups.slice(from)] };
  });
  const rest = layers.filter((layer) => !members.includes(layer));
  const below = rest.filter((layer) => layers.indexOf(layer) < at || pathOf(layer)[depth] === unit).length;
  return [...rest.slice(0, below), ...inner, ...rest.slice(below)];
}

/**
 * `layers` without the groups that have one of the keys; what was in them looks the same, as far as it does not overlap.
 * @param {Layer[]} layers
 * @param {number[]} keys
 */
export function ungrouped(layers, keys) {
  return layers.map((layer) => {
    const gone = layer.groups.filter((group) => keys.includes(group.key));
    if (gone.length === 0) return layer;
    return {
      ...layer,
      groups: layer.groups.filter((group) => !gone.includes(group)),
      visible: layer.visible && gone.every((group) => group.visible),
      opacity: gone.reduce((opacity, group) => opacity * group.opacity, layer.opacity),
    };
  });
}

// The same for what is chosen on the page.

/** What is locked stays. */
export function removePicked() {
  const keys = picked.value.filter((key) => !isLocked(key));
  if (keys.length === 0) return;
  edit(without(layersNow(), keys));
  pick([]);
}

/** @param {boolean} [inPlace] */
export function duplicatePicked(inPlace = false) {
  if (picked.value.length === 0) return;
  const { layers, keys } = duplicated(layersNow(), picked.value, inPlace ? 0 : ASIDE);
  edit(layers);
  pick(keys);
}

export function groupPicked() {
  if (picked.value.length === 0) return;
  const name = t("layers.unnamedGroup");
  /** @type {Group} */
  const group = { key: newKey(), name, given: name, visible: true, opacity: 1, blend: "normal" };
  edit(grouped(layersNow(), picked.value, group));
  pick([group.key]);
}

export function ungroupPicked() {
  const keys = picked.value.filter((key) => groupOf(layersNow(), key));
  if (keys.length === 0) return;
  const inside = [...new Set(keys.flatMap((key) => membersOf(layersNow(), key).map((layer) => pathOf(layer)[pathOf(layer).indexOf(key) + 1])))];
  edit(ungrouped(layersNow(), keys));
  pick(inside);
}

/** Everything that is not locked, as far as it is in no group; groups as a whole. */
export function pickAll() {
  const free = layersNow().filter((layer) => !layer.locked);
  pick([...new Set(free.map((layer) => pathOf(layer).find((key) => !groupOf(layersNow(), key)?.code) ?? layer.key))]);
}
