// @ts-check
import { middleOf, scaledAbout } from "./geometry.js";

/**
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Point} Point
 * @typedef {import("../types.js").Tree} Tree
 * @typedef {import("../types.js").TreeLayer} TreeLayer
 * @typedef {"x" | "y" | "scale" | "saturation" | "lightness"} Ranged
 */

const HERE = { x: 0, y: 0 };

/**
 * Limits of the service; edits of nested groups can add up to more.
 * @type {Record<Ranged, [number, number]>}
 */
const RANGES = { x: [-100_000, 100_000], y: [-100_000, 100_000], scale: [0.01, 16], saturation: [0, 4], lightness: [0, 4] };

/**
 * `layers` with the edits that the service keeps, which are those made over the
 * API: `tree` is the answer of `GET /api/jobs/{id}/document`.
 *
 * The parts of a split layer follow its edits, as in the service. Opacities and
 * colours are multiplied, since a group here has none of its own.
 * @param {Layer[]} layers
 * @param {Tree} tree
 */
export function withStored(layers, tree) {
  const byName = new Map(layers.map((layer) => [`${layer.job}/${layer.info.z_index}`, layer]));
  const edited = inside(tree, HERE, 0, byName);
  if (edited.length === layers.length) return edited;
  // A layer was split or deleted between the two requests: layers that only one of them knows stay as they were.
  const byKey = new Map(edited.map((layer) => [layer.key, layer]));
  return layers.map((layer) => byKey.get(layer.key) ?? layer);
}

/**
 * The layers of one result, the lowest first; its canvas lies at `origin`, in `depth` groups.
 * @param {Tree} tree
 * @param {Point} origin
 * @param {number} depth
 * @param {Map<string, Layer>} byName
 * @returns {Layer[]}
 */
function inside({ job_id: job, layers }, origin, depth, byName) {
  return layers.flatMap((node) => {
    const layer = byName.get(`${job}/${node.layer}`);
    if (layer) return changed([layer], node, origin).map((one) => ({ ...named(one, node.name), text: node.edit.text ?? null }));
    const { child } = node;
    if (!child?.tree) return [];
    const parts = inside(child.tree, { x: origin.x + child.x, y: origin.y + child.y }, depth + 1, byName);
    return changed(parts, node, origin).map((part) => ({ ...part, groups: renamed(part.groups, depth, node.name) }));
  });
}

/** @type {(layer: Layer, name: string) => Layer} */
function named(layer, name) {
  // The codes say less than a name that somebody gave.
  const label = name === layer.info.name ? layer.info.label : null;
  return { ...layer, name, info: { ...layer.info, name, ...(layer.info.label ? { label } : {}) } };
}

/**
 * Groups of a layer with another name for the one at `depth`.
 * @param {Layer["groups"]} groups
 * @param {number} depth
 * @param {string} name
 */
function renamed(groups, depth, name) {
  return groups.map((group, at) => (at === depth ? { ...group, name } : group));
}

/**
 * A layer, or all that it was split into, with its edit.
 * @param {Layer[]} layers
 * @param {TreeLayer} node
 * @param {Point} origin
 */
function changed(layers, { edit, bounding_box: box }, origin) {
  const middle = middleOf(box ?? { ...HERE, width: 0, height: 0 });
  return scaledAbout(layers, edit.scale, { x: origin.x + middle.x, y: origin.y + middle.y }).map((layer) => ({
    ...layer,
    visible: layer.visible && edit.visible,
    x: layer.x + edit.x,
    y: layer.y + edit.y,
    opacity: layer.opacity * edit.opacity,
    hue: turned(layer.hue + edit.hue),
    saturation: layer.saturation * edit.saturation,
    lightness: layer.lightness * edit.lightness,
  })).map(within);
}

/**
 * @param {Layer} layer
 * @returns {Layer}
 */
function within(layer) {
  const limited = { ...layer };
  for (const [name, [least, most]] of Object.entries(RANGES)) {
    const field = /** @type {Ranged} */ (name);
    limited[field] = Math.min(Math.max(layer[field], least), most);
  }
  return limited;
}

/**
 * An angle in degrees, from -180 to 180.
 * @param {number} angle
 */
function turned(angle) {
  return angle - 360 * Math.round(angle / 360);
}
