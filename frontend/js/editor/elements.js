// @ts-check
import { t } from "../lib/i18n.js";

/**
 * The document as the service has it, a list of elements, and as the page has it, a list of layers.
 *
 * @typedef {import("../types.js").DocumentInfo} DocumentInfo
 * @typedef {import("../types.js").Element_} Element
 * @typedef {import("../types.js").Group} Group
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").LayerInfo} LayerInfo
 * @typedef {import("../types.js").Point} Point
 */

/**
 * Names of groups that the service puts together, as files have them; the page shows its own words.
 * @type {Record<string, string>}
 */
const GROUP_NAMES = { text: "Text", people: "People", objects: "Objects" };

/**
 * The layers of a document, the lowest first.
 * @param {Pick<DocumentInfo, "elements" | "results">} document
 * @returns {Layer[]}
 */
export function layersFrom({ elements, results }) {
  const places = new Map(results.flatMap(({ job_id: job, x, y, metadata }) =>
    metadata.layers.map((info) => [`${job}/${info.z_index}`, { info, origin: { x, y } }])));
  /** @type {Map<number, Group[]>} */
  const paths = new Map();
  return elements.flatMap((element) => {
    const groups = paths.get(element.parent ?? -1) ?? [];
    const place = element.layer && places.get(`${element.layer.job_id}/${element.layer.layer}`);
    if (!element.layer || element.child) {
      paths.set(element.id, [...groups, groupFrom(element, place?.info)]);
      return [];
    }
    return place ? [layerFrom(element, place, groups, element.layer.job_id)] : [];
  });
}

/**
 * @param {Element} element
 * @param {{ info: LayerInfo, origin: Point }} place
 * @param {Group[]} groups
 * @param {string} job
 * @returns {Layer}
 */
function layerFrom({ id, locked, edit }, { info, origin }, groups, job) {
  const { visible, opacity, blend = "normal", x, y, scale_x, scale_y, rotation, effects, hue, saturation, lightness, text } = edit;
  return {
    key: id, job, origin, groups, info, locked: locked ?? false, name: edit.name ?? info.name,
    visible, opacity, blend, x, y, scale_x, scale_y, rotation, effects: effects ?? null, hue, saturation, lightness, text: text ?? null,
  };
}

/**
 * @param {Element} element
 * @param {LayerInfo | undefined} info of the layer that was split
 * @returns {Group}
 */
function groupFrom({ id, edit, layer, child, group: code }, info) {
  const given = info?.name ?? (code ? GROUP_NAMES[code] ?? code : t("layers.unnamedGroup"));
  const { visible, opacity, blend = "normal" } = edit;
  const group = { key: id, name: edit.name ?? given, given, visible, opacity, blend };
  if (code) return { ...group, code };
  return layer && child ? { ...group, split: { layer, child }, label: info?.label ?? null } : group;
}

/**
 * The elements of a document, each group before what is in it.
 * @param {Layer[]} layers
 * @returns {Element[]}
 */
export function elementsFrom(layers) {
  /** @type {Set<number>} */
  const listed = new Set();
  return layers.flatMap((layer) => {
    const groups = layer.groups.flatMap((group, depth) => {
      if (listed.has(group.key)) return [];
      listed.add(group.key);
      return [elementOfGroup(group, layer.groups[depth - 1])];
    });
    return [...groups, elementOf(layer)];
  });
}

/**
 * @param {Layer} layer
 * @returns {Element}
 */
function elementOf({ key, job, info, groups, locked, name, ...edit }) {
  const { visible, opacity, blend, x, y, scale_x, scale_y, rotation, effects, hue, saturation, lightness, text } = edit;
  const look = { visible, opacity, blend, x, y, scale_x, scale_y, rotation, hue, saturation, lightness };
  return {
    id: key, ...inside(groups.at(-1)), layer: { job_id: job, layer: info.z_index }, locked,
    edit: { ...named(name, info.name), ...look, ...(effects ? { effects } : {}), ...(text ? { text } : {}) },
  };
}

/**
 * @param {Group} group
 * @param {Group | undefined} around
 * @returns {Element}
 */
function elementOfGroup({ key, name, given, code, split, visible, opacity, blend }, around) {
  // A group that somebody made has no other name.
  const edit = { ...named(name, code || split ? given : null), visible, opacity, blend };
  return { id: key, ...inside(around), ...split, ...(code ? { group: code } : {}), edit: { ...PLAIN, ...edit } };
}

/** What of an edit a group leaves to its layers. */
const PLAIN = { x: 0, y: 0, scale_x: 1, scale_y: 1, rotation: 0, hue: 0, saturation: 1, lightness: 1 };

/** @type {(around: Group | undefined) => { parent?: number }} */
const inside = (around) => (around ? { parent: around.key } : {});

/** @type {(name: string, given: string | null) => { name?: string }} */
const named = (name, given) => (name === given ? {} : { name });
