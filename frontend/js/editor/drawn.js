// @ts-check

/**
 * The pixels of layers whose words were edited, as the service drew them: without what the layer was moved, scaled and
 * recoloured by.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").TextEdits} TextEdits
 */

/**
 * `box` is where the bitmap lies on the canvas of the layer's result; both are absent if nothing shows.
 * @typedef {{ bitmap: ImageBitmap | null, box: import("../types.js").Rect | null }} Drawn
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
 * Whether a layer's pixels are those of its words.
 * @param {Pick<Layer, "text">} layer
 */
export const isDrawn = ({ text }) => !text || drawn.has(text);

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
