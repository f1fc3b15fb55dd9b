// @ts-check
import { bitmapOf } from "./bitmaps.js";
import { layersNow } from "./document.js";
import { drawnOf, isAsDrawn, isDrawn } from "./drawn.js";
import { isBeyond, isPlain, resampledOf } from "./resampled.js";

/** @typedef {import("../types.js").Layer} Layer */

/**
 * A layer's pixels: those of its words, if they were edited, or else the engine's, before they are scaled and turned. Absent
 * for empty layers and until they have arrived.
 * @param {Layer} layer
 */
export function pixelsAt(layer) {
  const drawn = drawnOf(layer);
  return drawn ? (drawn.bitmap ?? undefined) : bitmapOf(layer);
}

/**
 * A layer's pixels as files have them, how far they reach beyond its box, and whether they have its colours; absent while they
 * are being made.
 * @param {Layer} layer
 */
export function placedOf(layer) {
  const drawn = drawnOf(layer);
  if (drawn && !isAsDrawn(layer, drawn)) return undefined;
  const bitmap = pixelsAt(layer);
  return isPlain(layer) ? bitmap && { bitmap, left: 0, above: 0, isColoured: false } : resampledOf(layer);
}

/** Whether the pixels of all layers are there, as files have them. */
export function isComplete() {
  return layersNow().every((layer) => isWhole(layer));
}

/** @param {Layer} layer */
function isWhole(layer) {
  if (layer.text ? !isDrawn(layer) : !layer.info.bounding_box) return !layer.text;
  // Words may be all blank.
  return !(layer.text ? drawnOf(layer)?.bitmap : true) || placedOf(layer) !== undefined || isBeyond(layer);
}
