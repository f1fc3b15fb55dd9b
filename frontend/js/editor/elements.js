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
 * @typedef {import("../types.js").Made} Made
 * @typedef {import("../types.js").Picture} Picture
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
    if (isGroup(element)) {
      paths.set(element.id, [...groups, groupFrom(element, place?.info)]);
      return [];
    }
    return place || (element.picture && !element.layer) ? [layerFrom(element, place ?? null, groups)] : [];
  });
}

/**
 * Whether other elements can be in it.
 * @param {Element} element
 */
export const isGroup = ({ layer, picture, child }) => Boolean(child) || (!layer && !picture);

/**
 * Width and height of a stored picture, which its id ends with.
 * @param {Picture} picture
 */
export function sizeOf({ id }) {
  const [width, height] = id.slice(id.indexOf("-") + 1).split("x").map(Number);
  return { width, height };
}

/** What lies on the document's canvas is nowhere else. */
const HERE = { x: 0, y: 0 };

/**
 * What is known of a layer that shows a picture. Words that were read in its own pixels are no words of the picture.
 * @param {Picture} picture
 * @param {Made | null} made
 * @returns {LayerInfo}
 */
function infoOf(picture, made) {
  const { x = 0, y = 0, kind = "unknown", label = null } = picture;
  const own = {
    file: "", z_index: -1, name: t("layers.unnamedPicture"), kind, label, coverage: 1, visible_share: 1,
    flags: { empty: false, copy_of_composite: false },
  };
  return { ...own, ...made?.info, live_text: null, bounding_box: { x, y, ...sizeOf(picture) } };
}

/**
 * @param {Element} element
 * @param {Made | null} made
 * @param {Group[]} groups
 * @returns {Layer}
 */
function layerFrom({ id, layer, picture = undefined, locked, edit }, made, groups) {
  const shown = picture ? { info: infoOf(picture, made), origin: HERE } : made;
  if (!shown) throw new Error("a layer without pixels");
  const { info, origin } = shown;
  const { visible, opacity, blend = "normal", x, y, scale_x, scale_y, rotation, effects, hue, saturation, lightness, text } = edit;
  return {
    key: id, job: layer?.job_id ?? "", origin, groups, info, made, picture: picture ?? null, locked: locked ?? false, name: edit.name ?? info.name,
    visible, opacity, blend, x, y, scale_x, scale_y, rotation, effects: effects ?? null, hue, saturation, lightness, text: text ?? null,
  };
}

/**
 * A layer that shows a picture in place of its pixels, or for the first time. A name that nobody gave is the picture's.
 * @param {Omit<Layer, "info" | "origin" | "picture" | "name"> & { info?: LayerInfo, name: string | null }} layer
 * @param {Picture} picture
 * @returns {Layer}
 */
export function pictureLayer(layer, picture) {
  const info = infoOf(picture, layer.made);
  const isGiven = layer.name !== null && layer.name !== layer.info?.name;
  return { ...layer, info, origin: HERE, picture, name: isGiven ? layer.name ?? "" : info.name };
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
function elementOf({ key, job, info, made, picture, groups, locked, name, ...edit }) {
  const { visible, opacity, blend, x, y, scale_x, scale_y, rotation, effects, hue, saturation, lightness, text } = edit;
  const look = { visible, opacity, blend, x, y, scale_x, scale_y, rotation, hue, saturation, lightness };
  return {
    id: key, ...inside(groups.at(-1)), ...(made ? { layer: { job_id: job, layer: made.info.z_index } } : {}),
    ...(picture ? { picture } : {}), locked,
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
