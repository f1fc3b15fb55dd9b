// @ts-check

/**
 * The document is a flat list of layers, the lowest first, each with the groups
 * that it is in, the outermost first. Here that list is read as the tree that it
 * is: a key names a layer or a group. Parts of a group are always neighbours.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Group} Group
 * @typedef {import("../types.js").Row} Row
 */

/**
 * Keys from the outermost group down to the layer itself.
 * @param {Layer} layer
 */
export const pathOf = (layer) => [...layer.groups.map(({ key }) => key), layer.key];

/**
 * The layers that a key stands for: itself, or all parts of the group.
 * @param {Layer[]} layers
 * @param {number} key
 */
export const membersOf = (layers, key) => layers.filter((layer) => pathOf(layer).includes(key));

/**
 * Keys from the outermost group down to a layer or group; empty where there is none.
 * @param {Layer[]} layers
 * @param {number | null} key
 */
export function pathTo(layers, key) {
  for (const path of layers.map(pathOf)) {
    const depth = path.findIndex((one) => one === key);
    if (depth >= 0) return path.slice(0, depth + 1);
  }
  return [];
}

/**
 * The group with a key; `null` for a layer.
 * @param {Layer[]} layers
 * @param {number} key
 * @returns {Group | null}
 */
export function groupOf(layers, key) {
  for (const layer of layers) {
    const group = layer.groups.find((one) => one.key === key);
    if (group) return group;
  }
  return null;
}

/** @type {(layer: Layer, parent: number[]) => boolean} */
const isInside = (layer, parent) => parent.every((key, depth) => pathOf(layer)[depth] === key);

/**
 * The keys right inside a group (`parent` is the path to it, empty for the whole), the lowest first.
 * @param {Layer[]} layers
 * @param {number[]} parent
 */
export function siblings(layers, parent) {
  return [...new Set(layers.filter((layer) => isInside(layer, parent)).map((layer) => pathOf(layer)[parent.length]))];
}

/**
 * `layers` with what is right inside a group in another order.
 * @param {Layer[]} layers
 * @param {number[]} parent
 * @param {number[]} order
 */
export function arranged(layers, parent, order) {
  const from = layers.findIndex((layer) => isInside(layer, parent));
  const block = layers.filter((layer) => isInside(layer, parent));
  const sorted = order.flatMap((key) => block.filter((layer) => pathOf(layer)[parent.length] === key));
  return [...layers.slice(0, from), ...sorted, ...layers.slice(from + block.length)];
}

/**
 * `layers` with a layer or group one place up (+1) or down (-1) among its siblings; `null` at the end.
 * @param {Layer[]} layers
 * @param {number} key
 * @param {1 | -1} by
 */
export function shifted(layers, key, by) {
  const parent = pathTo(layers, key).slice(0, -1);
  const order = siblings(layers, parent);
  const from = order.indexOf(key);
  if (from < 0 || from + by < 0 || from + by >= order.length) return null;
  order.splice(from + by, 0, ...order.splice(from, 1));
  return arranged(layers, parent, order);
}

/**
 * Whether a layer or group can go one place up (+1) or down (-1).
 * @param {Layer[]} layers
 * @param {number} key
 * @param {1 | -1} by
 */
export function canShift(layers, key, by) {
  const order = siblings(layers, pathTo(layers, key).slice(0, -1));
  return order.at(by > 0 ? -1 : 0) !== key;
}

/**
 * The rows of a list, the highest first, each group above its parts.
 * @param {Layer[]} layers
 * @param {Set<number>} [folded] keys of groups whose parts are left out
 */
export function rows(layers, folded = new Set()) {
  /** @type {Row[]} */
  const out = [];
  /** @type {number[]} */
  let open = [];
  for (const layer of [...layers].reverse()) {
    const shared = layer.groups.findIndex((group, depth) => open[depth] !== group.key);
    const from = shared < 0 ? layer.groups.length : shared;
    const closed = layer.groups.findIndex((group) => folded.has(group.key));
    const shown = closed < 0 ? layer.groups : layer.groups.slice(0, closed + 1);
    shown.slice(from).forEach((group, at) => out.push({ key: group.key, depth: from + at, group }));
    open = layer.groups.map((group) => group.key);
    if (closed < 0) out.push({ key: layer.key, depth: layer.groups.length, layer });
  }
  return out;
}

/**
 * The key that a click on a layer selects after `selected`: the outermost group
 * around it, unless something inside that group is chosen already; `deeper`
 * (a double click) goes one group further in. Groups that the service made are
 * no things: a click goes through them, unless one was chosen in the list.
 * @param {Layer[]} layers
 * @param {Layer} layer
 * @param {number | null} selected
 * @param {boolean} deeper
 */
export function hit(layers, layer, selected, deeper) {
  const isThing = (/** @type {number} */ key) => key === selected || !groupOf(layers, key)?.code;
  const path = pathOf(layer).filter(isThing);
  const around = pathTo(layers, selected).slice(0, -1).filter(isThing);
  let depth = 0;
  while (depth < around.length && around[depth] === path[depth]) depth += 1;
  if (deeper && path[depth] === selected) depth += 1;
  return path[Math.min(depth, path.length - 1)];
}
