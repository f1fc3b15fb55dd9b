// @ts-check
import * as api from "../lib/api.js";
import { withStored } from "./stored.js";
import { withNamedGroups } from "./tree.js";

/**
 * The layers of a result as the service has them.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").LayerInfo} LayerInfo
 * @typedef {import("../types.js").LayerPlace} LayerPlace
 * @typedef {import("../types.js").Metadata} Metadata
 */

/**
 * Keys of layers by `job/number`, and of groups by what is in them.
 * @type {Map<string, number>}
 */
const keys = new Map();

/**
 * The layers of a result with what was edited over the API; `error` where that is not known.
 * @param {string} id
 * @param {Metadata} metadata
 */
export async function fetchLayers(id, metadata) {
  keys.clear();
  // The lowest numbers are for the layers of the result itself.
  for (const info of metadata.layers) keyFor(nameOf(id, info.z_index));
  const stored = api.tree(id).then((tree) => ({ tree, error: null }), (error) => ({ tree: null, error }));
  const layers = await unfold(metadata, { job: id, origin: { x: 0, y: 0 }, groups: [] });
  const { tree, error } = await stored;
  return { layers: withNamedGroups(tree ? withStored(layers, tree) : layers, keyFor), error };
}

/**
 * The parts of a layer that was just split, as layers of the document; `null` where they cannot be had.
 * @param {Layer} layer
 * @param {string} job
 */
export async function fetchParts(layer, job) {
  const parts = await partsOf(layer, job);
  return parts && withNamedGroups(parts, keyFor, layer.groups.length + 1);
}

/**
 * The parts of a split layer, as layers of the document; `null` while that job has no result.
 * @param {Layer} layer
 * @param {string} job
 */
async function partsOf(layer, job) {
  try {
    const metadata = await api.metadata(job);
    const { x, y } = metadata.input.parent ?? { x: 0, y: 0 };
    const groups = [...layer.groups, groupInPlaceOf(layer)];
    return await unfold(metadata, { job, origin: { x: layer.origin.x + x, y: layer.origin.y + y }, groups }, layer.locked);
  } catch {
    // Still at work, failed or deleted: the layer stands for itself.
    return null;
  }
}

/**
 * @param {Layer} layer
 * @returns {import("../types.js").Group}
 */
function groupInPlaceOf({ key, info: { name, label, group } }) {
  return { key, name, ...(label ? { given: name, label } : {}), ...(group ? { within: group } : {}) };
}

/**
 * The layers of a result; those that were split again give way to their parts. Of a layer that could not be split there
 * is a single part: it stays as it is.
 * @param {Metadata} metadata
 * @param {LayerPlace} place
 * @param {boolean} [locks] whether the background is locked: that of a locked background, or of the whole
 * @returns {Promise<Layer[]>}
 */
async function unfold(metadata, place, locks = true) {
  const layers = [];
  for (const info of metadata.layers) {
    const layer = unedited(info, place, locks && info.kind === "background");
    const child = metadata.children?.find((one) => one.layer === info.z_index);
    const parts = (child && (await partsOf(layer, child.job_id))) ?? [];
    layers.push(...(parts.length > 1 ? parts : [layer]));
  }
  return layers;
}

/**
 * A layer as the engine made it.
 * @param {LayerInfo} info
 * @param {LayerPlace} place
 * @param {boolean} locked
 * @returns {Layer}
 */
function unedited(info, place, locked) {
  return {
    key: keyFor(nameOf(place.job, info.z_index)), ...place, info, name: info.name, visible: true, locked,
    opacity: 1, x: 0, y: 0, scale: 1, hue: 0, saturation: 1, lightness: 1, text: null,
  };
}

/** @type {(job: string, number: number) => string} */
const nameOf = (job, number) => `${job}/${number}`;

/** @param {string} name */
function keyFor(name) {
  const key = keys.get(name) ?? keys.size;
  keys.set(name, key);
  return key;
}
