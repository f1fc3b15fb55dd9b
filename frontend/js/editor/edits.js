// @ts-check
import { solo } from "./display.js";
import { doc, layerOf, layersNow, partsAt } from "./document.js";
import { around, boxOf, middleOf, scaledAbout } from "./geometry.js";
import { beforeMerged, edit } from "./history.js";
import { FIELDS } from "./kept.js";
import { landed } from "./landing.js";
import { membersOf, shifted } from "./tree.js";

/**
 * The edits that the page offers. Edits in a row with the same `merge` are
 * undone as one.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Group} Group
 */

/**
 * Changes fields of a layer, or of all parts of a group.
 * @param {number} key
 * @param {Partial<import("../types.js").Editable>} fields
 * @param {string | null} [merge]
 */
export function editLayer(key, fields, merge = null) {
  editMembers(key, (members) => members.map((layer) => ({ ...layer, ...fields })), merge);
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
 * Scales a group about its middle until its lowest layer has `scale`; in a row of
 * merged edits from where they began, so that rounding does not add up.
 * @param {number} key
 * @param {number} scale
 * @param {string} merge
 */
export function scaleTo(key, scale, merge) {
  /** @param {Layer[]} members */
  const change = (members) => {
    const box = around(members.map(boxOf));
    return box ? scaledAbout(members, scale / members[0].scale, middleOf(box)) : members;
  };
  editMembers(key, change, merge, beforeMerged(merge));
}

/**
 * Gives a layer or a group another name.
 * @param {number} key
 * @param {string} name
 * @param {string | null} [merge]
 */
export function rename(key, name, merge = null) {
  if (layerOf(key)) return editLayer(key, { name }, merge);
  /** @param {Group} group */
  const named = (group) => (group.key === key ? { ...group, name } : group);
  editMembers(key, (members) => members.map((layer) => ({ ...layer, groups: layer.groups.map(named) })), merge);
}

/**
 * @param {number} key
 * @param {(members: Layer[]) => Layer[]} change
 * @param {string | null} merge
 * @param {Layer[]} [before] the layers that the change starts from
 */
function editMembers(key, change, merge, before = layersNow()) {
  const changed = new Map(change(membersOf(before, key)).map((layer) => [layer.key, layer]));
  edit(before.map((layer) => changed.get(layer.key) ?? layer), merge);
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
export const isVisible = (key) => partsAt(key).some((layer) => layer.visible);

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

/** How a layer looks and what it is called; being locked is neither. */
const LOOK = FIELDS.filter((field) => field !== "locked");

/**
 * Whether a layer or group differs from what the service delivered, apart from its place among the others.
 * @param {number} key
 */
export function isEdited(key) {
  return partsAt(key).some((layer) => LOOK.some((field) => layer[field] !== deliveredOf(layer)[field]));
}

/**
 * Makes a layer, or all of a group, look as the service delivered it. It keeps its place among the others.
 * @param {number} key
 */
export function restore(key) {
  editMembers(key, (members) => members.map((layer) => {
    const before = deliveredOf(layer);
    return { ...layer, ...Object.fromEntries(LOOK.map((field) => [field, before[field]])) };
  }), null);
}

/** @param {Layer} layer */
const deliveredOf = (layer) => doc.value?.delivered.find((one) => one.key === layer.key) ?? layer;

/** Makes all layers visible. */
export function showAll() {
  if (layersNow().some((layer) => !layer.visible)) edit(layersNow().map((layer) => ({ ...layer, visible: true })));
}

/** Everything as the service delivered it. */
export function reset() {
  if (doc.value) edit(doc.value.delivered);
}
