// @ts-check
import { drawnOf } from "./drawn.js";

/**
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Point} Point
 * @typedef {import("../types.js").Rect} Rect
 */

/**
 * Where a layer's pixels lie on the canvas now; `null` for an empty layer.
 * @param {Layer} layer
 * @returns {Rect | null}
 */
export function boxOf(layer) {
  const drawn = drawnOf(layer);
  if (!drawn) return frameOf(layer);
  if (!drawn.box) return null;
  const { x, y } = placeOf(layer, drawn.box);
  return { x, y, width: drawn.box.width * layer.scale, height: drawn.box.height * layer.scale };
}

/**
 * Where the pixels that the engine made would lie on the canvas now: a layer is scaled about the middle of this.
 * @param {Layer} layer
 * @returns {Rect | null}
 */
export function frameOf(layer) {
  const { info: { bounding_box: box }, scale } = layer;
  if (!box) return null;
  const { x, y } = placeOf(layer, box);
  return { x, y, width: box.width * scale, height: box.height * scale };
}

/**
 * Where a point of the result that a layer is of lies on the canvas, after the layer was moved and scaled.
 * @param {Layer} layer
 * @param {Point} point
 * @returns {Point}
 */
export function placeOf({ info, origin, x, y, scale }, point) {
  const middle = middleOf(info.bounding_box ?? { x: 0, y: 0, width: 0, height: 0 });
  return {
    x: origin.x + middle.x + (point.x - middle.x) * scale + x,
    y: origin.y + middle.y + (point.y - middle.y) * scale + y,
  };
}

/**
 * The smallest box around several; `null` around none.
 * @param {(Rect | null)[]} boxes
 * @returns {Rect | null}
 */
export function around(boxes) {
  const all = boxes.flatMap((box) => box ?? []);
  if (all.length === 0) return null;
  const [x, y] = [Math.min(...all.map((box) => box.x)), Math.min(...all.map((box) => box.y))];
  const right = Math.max(...all.map((box) => box.x + box.width));
  const bottom = Math.max(...all.map((box) => box.y + box.height));
  return { x, y, width: right - x, height: bottom - y };
}

/**
 * Several layers as one: scaled by `factor` about a point of the canvas.
 * @param {Layer[]} layers
 * @param {number} factor
 * @param {Point} centre
 * @returns {Layer[]}
 */
export function scaledAbout(layers, factor, { x: cx, y: cy }) {
  return layers.map((layer) => {
    const box = frameOf(layer);
    if (!box) return layer;
    const [dx, dy] = [box.x + box.width / 2 - cx, box.y + box.height / 2 - cy];
    return {
      ...layer, scale: layer.scale * factor,
      x: layer.x + Math.round(dx * (factor - 1)), y: layer.y + Math.round(dy * (factor - 1)),
    };
  });
}

/** @type {(box: Rect) => Point} */
export const middleOf = ({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2 });
