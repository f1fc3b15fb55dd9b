// @ts-check
import { notify } from "../notices.js";
import { closeBitmaps, loadBitmaps } from "./bitmaps.js";
import "./typesetting.js";
import { fetchLayers } from "./delivery.js";
import { foldLong, resetDisplay } from "./display.js";
import { doc } from "./document.js";
import { forgetDrawn } from "./drawn.js";
import { frameOf, middleOf, scaledAbout } from "./geometry.js";
import { rewrite, startHistory } from "./history.js";
import { flushEdits, loadEdits } from "./kept.js";
import { gathered } from "./tree.js";

/** @typedef {import("../types.js").Layer} Layer */

let openings = 0;

/**
 * Brings a result to the page, with the edits that this browser kept. Its pixels arrive one layer after another.
 * @param {string} id
 * @param {import("../types.js").Metadata} metadata
 */
export async function openDocument(id, metadata) {
  closeDocument();
  const turn = openings;
  const { width, height } = metadata.canvas ?? metadata.input;
  const { layers: delivered, error } = await fetchLayers(id, metadata);
  if (turn !== openings) return;
  if (error) notify("error", error.message);
  const edited = loadEdits(id, delivered);
  const isEdited = edited !== delivered;
  doc.value = { id, width, height, layers: isEdited ? gathered(edited) : delivered, delivered };
  startHistory(isEdited ? [delivered] : []);
  foldLong(doc.value.layers);
  loadBitmaps(delivered);
}

export function closeDocument() {
  openings += 1;
  flushEdits();
  closeBitmaps();
  forgetDrawn();
  doc.value = null;
  resetDisplay();
  startHistory();
}

/**
 * Puts what a layer was split into in its place, as a group with the layer's key.
 * @param {number} key
 * @param {Layer[]} parts
 */
export function replaceWithParts(key, parts) {
  rewrite((layers) => layers.flatMap((layer) => (layer.key === key ? inheriting(parts, layer) : [layer])));
  loadBitmaps(parts);
}

/**
 * The parts of a layer, with the edits that it had.
 * @param {Layer[]} parts
 * @param {Layer} layer
 */
function inheriting(parts, layer) {
  const { key, name, visible, locked, opacity, x, y, scale, hue, saturation, lightness } = layer;
  const box = frameOf(layer);
  /** @param {import("../types.js").Group} group */
  const named = (group) => (group.key === key ? { ...group, name } : group);
  // Those around the layer are as they are at this point of the history.
  /** @param {Layer} part */
  const groupsOf = (part) => [...layer.groups, ...part.groups.slice(part.groups.findIndex((one) => one.key === key)).map(named)];
  // Of a background, only the background stays locked.
  const isLocked = (/** @type {Layer} */ part) => locked && (layer.info.kind !== "background" || part.locked);
  const moved = parts.map((part) => ({
    ...part, visible, locked: isLocked(part), opacity, x, y, hue, saturation, lightness, groups: groupsOf(part),
  }));
  return scale === 1 || !box ? moved : scaledAbout(moved, scale, middleOf(box));
}
