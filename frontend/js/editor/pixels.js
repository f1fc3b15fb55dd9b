// @ts-check
import { bitmapOf } from "./bitmaps.js";
import { layersNow } from "./document.js";
import { drawnOf, isDrawn } from "./drawn.js";

/**
 * A layer's pixels within its box, before its edits: those of its words, if they were edited, or else the engine's. Absent
 * for empty layers and until they have arrived.
 * @param {import("../types.js").Layer} layer
 */
export function pixelsAt(layer) {
  const drawn = drawnOf(layer);
  return drawn ? (drawn.bitmap ?? undefined) : bitmapOf(layer);
}

/** Whether the pixels of all layers are there. */
export function isComplete() {
  return layersNow().every((layer) => (layer.text ? isDrawn(layer) : !layer.info.bounding_box || bitmapOf(layer)));
}
