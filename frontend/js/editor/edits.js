// @ts-check
import { solo } from "./display.js";
import { layerOf, layersNow, partsAt } from "./document.js";
import { beforeMerged, edit } from "./history.js";
import { landed } from "./landing.js";
import { groupOf, membersOf, shifted } from "./tree.js";

/**
 * The edits that the page offers. Edits in a row with the same `merge` are
 * undone as one.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Group} Group
 */

/**
 * Changes fields of a layer; of a group its own, and others of all that is in it.
 * @param {number} key
 * @param {Partial<import("../types.js").Editable>} fields
 * @param {string | null} [merge]
 */
export function editLayer(key, fields, merge = null) {
  editAll([key], fields, merge);
}

/**
 * The same for several.
 * @param {number[]} keys
 * @param {Partial<import("../types.js").Editable>} fields
 * @param {string | null} [merge]
 */
export function editAll(keys, fields, merge = null) {
  const entries = Object.entries(fields);
  const own = Object.fromEntries(entries.filter(([field]) => field in GROUP_LOOK));
  const theirs = Object.fromEntries(entries.filter(([field]) => !(field in GROUP_LOOK)));
  edit(layersNow().map((layer) => {
    if (keys.includes(layer.key)) return { ...layer, ...fields };
    if (!layer.groups.some((group) => keys.includes(group.key))) return layer;
    return { ...layer, ...theirs, groups: layer.groups.map((group) => (keys.includes(group.key) ? { ...group, ...own } : group)) };
  }), merge);
}

/**
 * Moves a layer or a group.
 * @param {number} key
 * @param {number} dx
 * @param {number} dy
 * @param {string | null} [merge]
 */
export function moveBy(key, dx, dy, merge = null) {
  editMembers(key, (members) => members.map((layer) => ({ ...layer, x: layer.x + dx, y: layer.y + dy })), merge);
}

/**
 * Moves several layers and groups.
 * @param {number[]} keys
 * @param {number} dx
 * @param {number} dy
 * @param {string | null} [merge]
 */
export function moveAll(keys, dx, dy, merge = null) {
  const moved = new Set(keys.flatMap((key) => membersOf(layersNow(), key)));
  if (moved.size > 0) edit(layersNow().map((layer) => (moved.has(layer) ? { ...layer, x: layer.x + dx, y: layer.y + dy } : layer)), merge);
}

/**
 * Scales or turns layers and groups; in a row of merged edits from where they began, so that rounding does not add up.
 * @param {number[]} keys
 * @param {(members: Layer[]) => Layer[]} change
 * @param {string} merge
 */
export function transform(keys, change, merge) {
  const before = beforeMerged(merge);
  const members = [...new Set(keys.flatMap((key) => membersOf(before, key)))];
  const changed = new Map(change(members).map((layer) => [layer.key, layer]));
  edit(before.map((layer) => changed.get(layer.key) ?? layer), merge);
}

/**
 * Gives a layer or a group another name.
 * @param {number} key
 * @param {string} name
 * @param {string | null} [merge]
 */
export function rename(key, name, merge = null) {
  editLayer(key, { name }, merge);
}

/**
 * @param {number} key
 * @param {(members: Layer[]) => Layer[]} change
 * @param {string | null} merge
 */
function editMembers(key, change, merge) {
  const changed = new Map(change(partsAt(key)).map((layer) => [layer.key, layer]));
  edit(layersNow().map((layer) => changed.get(layer.key) ?? layer), merge);
}

/**
 * Moves a layer or group up (+1) or down (-1) among its neighbours.
 * @param {number} key
 * @param {1 | -1} by
 */
export function shift(key, by) {
  const layers = shifted(layersNow(), key, by);
  if (layers) edit(layers);
}

/**
 * Puts a layer or group where a row of the list was dropped.
 * @param {number} key
 * @param {import("./landing.js").Landing} landing
 */
export function land(key, landing) {
  edit(landed(layersNow(), key, landing));
}

/** @param {number} key */
export const isVisible = (key) => (layerOf(key) ?? groupOf(layersNow(), key))?.visible ?? false;

/**
 * Whether a layer or group stays where it is: a group does if anything in it is locked.
 * @param {number} key
 */
export const isLocked = (key) => partsAt(key).some((layer) => layer.locked);

/**
 * Hides or shows a layer or group; that ends solo.
 * @param {number} key
 */
export function toggleVisible(key) {
  solo.value = null;
  editLayer(key, { visible: !isVisible(key) });
}

/** @param {number} key */
export function toggleLocked(key) {
  editLayer(key, { locked: !isLocked(key) });
}

/** @type {import("../types.js").Blend} */
const PLAIN = "normal";

/** How a group looks that nobody edited, and a layer beside that; being locked is no look. */
const GROUP_LOOK = { name: "", visible: true, opacity: 1, blend: PLAIN };
const PLACE = { x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0 };
const LOOK = { visible: true, opacity: 1, blend: PLAIN, ...PLACE, effects: null, hue: 0, saturation: 1, lightness: 1, text: null };

/**
 * Whether a layer or group differs from what the service made, apart from its place among the others.
 * @param {number} key
 */
export function isEdited(key) {
  const group = groupOf(layersNow(), key);
  if (group && (group.name !== group.given || !group.visible || group.opacity !== 1 || group.blend !== PLAIN)) return true;
  const fields = /** @type {(keyof typeof LOOK)[]} */ (Object.keys(LOOK));
  return partsAt(key).some((layer) => layer.name !== layer.info.name || (layer.made && layer.picture) || fields.some((field) => layer[field] !== LOOK[field]));
}

/**
 * Makes a layer, or a group and all in it, look as the service made it. It keeps its place among the others.
 * @param {number} key
 */
export function restore(key) {
  /** @param {Group} group */
  const plain = (group) => (group.key === key ? { ...group, ...GROUP_LOOK, name: group.given } : group);
  editMembers(key, (members) => members.map((layer) => ({ ...layer, ...LOOK, ...layer.made, ...(layer.made ? { picture: null } : {}), name: layer.info.name, groups: layer.groups.map(plain) })), null);
}

/** Makes all layers and groups visible. */
export function showAll() {
  if (isAllVisible()) return;
  edit(layersNow().map((layer) => ({ ...layer, visible: true, groups: layer.groups.map((group) => ({ ...group, visible: true })) })));
}

/** Whether no layer and no group is hidden. */
export const isAllVisible = () => layersNow().every((layer) => layer.visible && layer.groups.every((group) => group.visible));
