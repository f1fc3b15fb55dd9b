// @ts-check
import { groupOf, membersOf, pathOf, pathTo, rows, siblings } from "./tree.js";

/**
 * Where a row of the list may be dropped: between any two rows, in any group but itself. Where a group ends, what is
 * dropped may go into it or below it.
 *
 * @typedef {import("../types.js").Layer} Layer
 */

/**
 * A place between two rows.
 * @typedef {object} Landing
 * @property {number[]} parent the path to the group that it is in, empty for the whole
 * @property {number[]} below keys of what is right inside that group and below the place
 */

/**
 * The places where a layer or group may go, by the number of rows above each: those of the outermost groups first.
 * @param {Layer[]} layers
 * @param {Set<number>} folded
 * @param {number} key
 * @returns {Map<number, Landing[]>}
 */
export function landings(layers, folded, key) {
  /** @type {Map<number, Landing[]>} */
  const found = new Map();
  const path = pathTo(layers, key);
  if (path.length === 0) return found;
  const listed = rows(layers, folded);
  for (const parent of parentsIn(layers, folded, key)) {
    // The highest first, as the rows are.
    const units = siblings(layers, parent).reverse();
    const own = parent.at(-1) === path.at(-2) ? units.indexOf(key) : -1;
    const firsts = units.map((unit) => listed.findIndex((row) => row.key === unit));
    const end = firsts.at(-1) ?? 0;
    const last = listed.findIndex((row, at) => at > end && row.depth <= listed[end].depth);
    [...firsts, last < 0 ? listed.length : last].forEach((gap, at) => {
      // Beside itself it would stay where it is.
      if (own >= 0 && (at === own || at === own + 1)) return;
      found.set(gap, [...(found.get(gap) ?? []), { parent, below: units.slice(at).filter((unit) => unit !== key) }]);
    });
  }
  for (const some of found.values()) some.sort((a, b) => a.parent.length - b.parent.length);
  return found;
}

/**
 * Paths to the whole and to all groups whose layers are listed, but those inside `key`.
 * @param {Layer[]} layers
 * @param {Set<number>} folded
 * @param {number} key
 */
function parentsIn(layers, folded, key) {
  const groups = new Set(layers.flatMap((layer) => layer.groups.map((group) => group.key)));
  const paths = [...groups].map((group) => pathTo(layers, group));
  return [[], ...paths.filter((path) => !path.includes(key) && !path.some((group) => folded.has(group)))];
}

/**
 * Of the places in one gap, the one that is meant: in the group that it is in already, otherwise in the outermost, unless
 * it was dragged to the right.
 * @param {Landing[]} places
 * @param {number[]} around path to the group that it is in
 * @param {boolean} inwards
 */
export function meant(places, around, inwards) {
  if (inwards) return places.at(-1) ?? null;
  return places.find(({ parent }) => parent.at(-1) === around.at(-1)) ?? places[0] ?? null;
}

/**
 * `layers` with a layer or group in a place of `landings`.
 * @param {Layer[]} layers
 * @param {number} key
 * @param {Landing} landing
 */
export function landed(layers, key, { parent, below }) {
  const depth = pathTo(layers, key).length - 1;
  const around = parent.flatMap((one) => groupOf(layers, one) ?? []);
  const members = membersOf(layers, key);
  const moved = members.map((layer) => ({ ...layer, groups: [...around, ...layer.groups.slice(depth)] }));
  const rest = layers.filter((layer) => !members.includes(layer));
  const inside = parent.length > 0 ? membersOf(rest, parent[parent.length - 1]) : rest;
  const lower = inside.filter((layer) => below.includes(pathOf(layer)[parent.length]));
  const [first] = inside;
  const at = lower.length > 0 ? rest.lastIndexOf(lower[lower.length - 1]) + 1 : first ? rest.indexOf(first) : layers.indexOf(members[0]);
  return [...rest.slice(0, at), ...moved, ...rest.slice(at)];
}
