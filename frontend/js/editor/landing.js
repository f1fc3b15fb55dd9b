// @ts-check
import { arranged, groupOf, leaving, pathTo, rows, siblings } from "./tree.js";

/**
 * Where a row of the list may be dropped: only between rows, and only where the tree allows it. What is in a group that
 * the service made may leave it; a part of a layer that was split stays in its group.
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
 * The places where a layer or group may go, by the number of rows above each.
 * @param {Layer[]} layers
 * @param {Set<number>} folded
 * @param {number} key
 * @returns {Map<number, Landing>}
 */
export function landings(layers, folded, key) {
  const found = new Map();
  const path = pathTo(layers, key);
  if (path.length === 0) return found;
  const listed = rows(layers, folded);
  const around = path.slice(0, -1);
  for (const parent of parentsFor(layers, around)) {
    // The highest first, as the rows are.
    const units = siblings(layers, parent).reverse();
    const own = parent.length === around.length ? units.indexOf(key) : -1;
    const firsts = units.map((unit) => listed.findIndex((row) => row.key === unit));
    const end = firsts.at(-1) ?? 0;
    const last = listed.findIndex((row, at) => at > end && row.depth <= listed[end].depth);
    [...firsts, last < 0 ? listed.length : last].forEach((gap, at) => {
      // Beside itself it would stay where it is.
      if (own >= 0 && (at === own || at === own + 1)) return;
      if (!found.has(gap)) found.set(gap, { parent, below: units.slice(at) });
    });
  }
  return found;
}

/**
 * Paths to the groups in which something may be, its own first.
 * @param {Layer[]} layers
 * @param {number[]} around
 */
function parentsFor(layers, around) {
  const paths = [around];
  for (let depth = around.length; depth > 0 && groupOf(layers, around[depth - 1])?.code; depth -= 1) paths.push(around.slice(0, depth - 1));
  return paths;
}

/**
 * `layers` with a layer or group in a place of `landings`.
 * @param {Layer[]} layers
 * @param {number} key
 * @param {Landing} landing
 */
export function landed(layers, key, { parent, below }) {
  const left = pathTo(layers, key).slice(0, -1).slice(parent.length);
  const freed = left.length === 0 ? layers : leaving(layers, key, left);
  const order = siblings(freed, parent).filter((one) => one !== key);
  order.splice(order.filter((one) => below.includes(one)).length, 0, key);
  return arranged(freed, parent, order);
}
