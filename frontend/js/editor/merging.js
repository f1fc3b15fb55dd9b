// @ts-check
import { isLocked } from "./edits.js";
import { membersOf, pathOf } from "./tree.js";

/** @typedef {import("../types.js").Layer} Layer */

/**
 * The layers that become one picture: all that keys stand for, but locked ones, in their order.
 * @param {Layer[]} layers
 * @param {number[]} keys
 */
export function mergeable(layers, keys) {
  const members = new Set(keys.filter((key) => !isLocked(key)).flatMap((key) => membersOf(layers, key)));
  return layers.filter((layer) => members.has(layer));
}

/**
 * `layers` with one in the place of the highest of several, in the groups that are around all of them.
 * @param {Layer[]} layers
 * @param {Layer[]} members at least one
 * @param {Layer} made
 */
export function mergedInto(layers, members, made) {
  const highest = members[members.length - 1];
  const groups = highest.groups.filter(({ key }) => members.every((layer) => pathOf(layer).includes(key)));
  const [depth, at] = [groups.length, layers.indexOf(highest)];
  const unit = pathOf(highest)[depth];
  const rest = layers.filter((layer) => !members.includes(layer));
  // Above the whole of a group that is not around all of them.
  const below = rest.filter((layer) => layers.indexOf(layer) < at || pathOf(layer)[depth] === unit).length;
  return [...rest.slice(0, below), { ...made, groups }, ...rest.slice(below)];
}
