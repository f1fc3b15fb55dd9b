// @ts-check

/**
 * The pixels of layers whose words were edited, as the service drew them: in the size and turn that the layer has, where it
 * would lie if it had not been moved, in the colours before it was recoloured.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").TextEdits} TextEdits
 * @typedef {Pick<Layer, "scale_x" | "scale_y" | "rotation">} Turned
 */

/**
 * `box` is where the bitmap lies on the document's canvas; both are absent if nothing shows.
 * @typedef {{ bitmap: ImageBitmap | null, box: import("../types.js").Rect | null, as: Turned }} Drawn
 */

/**
 * Edits are never changed in place, so that undo finds what was drawn before.
 * @type {WeakMap<TextEdits, Drawn>}
 */
const drawn = new WeakMap();
/**
 * What was drawn last of a layer, which is shown until its newest words have arrived.
 * @type {Map<number, Drawn>}
 */
const latest = new Map();

/** @param {Pick<Layer, "key" | "text">} layer */
export function drawnOf({ key, text }) {
  return text ? (drawn.get(text) ?? latest.get(key)) : undefined;
}

/**
 * Whether words are in the size and turn that their layer has now.
 * @param {Turned} layer
 * @param {Drawn} drawn
 */
export function isAsDrawn(layer, { as }) {
  return layer.scale_x === as.scale_x && layer.scale_y === as.scale_y && layer.rotation === as.rotation;
}

/**
 * Whether a layer's pixels are those of its words.
 * @param {Pick<Layer, "text"> & Turned} layer
 */
export function isDrawn(layer) {
  const made = layer.text && drawn.get(layer.text);
  return !layer.text || (made ? isAsDrawn(layer, made) : false);
}

/**
 * @param {number} key
 * @param {TextEdits} text
 * @param {Drawn} made
 */
export function keepDrawn(key, text, made) {
  drawn.set(text, made);
  latest.set(key, made);
}

export function forgetDrawn() {
  latest.clear();
}
