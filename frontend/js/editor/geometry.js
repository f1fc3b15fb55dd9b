// @ts-check
import { margins } from "../pixels/effects.js";
import { turnedBox } from "../pixels/turn.js";
import { drawnOf, isAsDrawn } from "./drawn.js";

/**
 * Where layers lie on the canvas: scaled about the middle of their box, then turned about it, then moved.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Point} Point
 * @typedef {import("../types.js").Rect} Rect
 */

/** @type {(box: Rect) => Point} */
export const middleOf = ({ x, y, width, height }) => ({ x: x + width / 2, y: y + height / 2 });

const NOTHING = { x: 0, y: 0, width: 0, height: 0 };

/**
 * The middle of a layer's box, on the canvas of its result and on the document's before and after the layer was moved.
 * @param {Pick<Layer, "info" | "origin" | "x" | "y">} layer
 */
export function middlesOf({ info, origin, x, y }) {
  const own = middleOf(info.bounding_box ?? NOTHING);
  const before = { x: origin.x + own.x, y: origin.y + own.y };
  return { own, before, now: { x: before.x + x, y: before.y + y } };
}

/**
 * A point turned about another one.
 * @param {Point} point
 * @param {number} degrees clockwise
 * @param {Point} [about]
 * @returns {Point}
 */
export function turned({ x, y }, degrees, about = NOTHING) {
  if (degrees === 0) return { x, y };
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180), Math.cos((degrees * Math.PI) / 180)];
  const [dx, dy] = [x - about.x, y - about.y];
  return { x: about.x + dx * cos - dy * sin, y: about.y + dx * sin + dy * cos };
}

/**
 * Where a point of the result that a layer is of lies on the canvas now.
 * @param {Layer} layer
 * @param {Point} point
 * @returns {Point}
 */
export function placeOf(layer, point) {
  const { own, now } = middlesOf(layer);
  const scaled = { x: now.x + (point.x - own.x) * layer.scale_x, y: now.y + (point.y - own.y) * layer.scale_y };
  return turned(scaled, layer.rotation, now);
}

/**
 * Which point of the result that a layer is of lies at a point of the canvas now.
 * @param {Layer} layer
 * @param {Point} point
 * @returns {Point}
 */
export function backOf(layer, point) {
  const { own, now } = middlesOf(layer);
  const upright = turned(point, -layer.rotation, now);
  return { x: own.x + (upright.x - now.x) / layer.scale_x, y: own.y + (upright.y - now.y) / layer.scale_y };
}

/**
 * Where the pixels that the engine made lie before they are turned, in the whole pixels that the service gives them too:
 * halves are rounded up.
 * @param {Layer} layer
 * @returns {Rect | null}
 */
export function uprightOf(layer) {
  const { info: { bounding_box: box }, scale_x: across, scale_y: down } = layer;
  if (!box) return null;
  const { now } = middlesOf(layer);
  // The service's numbers have 32 bits.
  const [width, height] = [box.width * Math.fround(across), box.height * Math.fround(down)];
  return {
    x: Math.floor(now.x - width / 2 + 0.5), y: Math.floor(now.y - height / 2 + 0.5),
    width: Math.max(1, Math.floor(width + 0.5)), height: Math.max(1, Math.floor(height + 0.5)),
  };
}

/**
 * What these pixels cover once they are turned.
 * @param {Layer} layer
 * @returns {Rect | null}
 */
export function frameOf(layer) {
  const upright = uprightOf(layer);
  if (!upright) return null;
  const { x, y, width, height } = turnedBox(upright, Math.fround(layer.rotation));
  return { x: upright.x + x, y: upright.y + y, width, height };
}

/**
 * What a layer covers of the canvas now, its edited words too; `null` for an empty layer.
 * @param {Layer} layer
 * @returns {Rect | null}
 */
export function boxOf(layer) {
  const drawn = drawnOf(layer);
  if (!drawn) return frameOf(layer);
  const { box } = drawn;
  if (!box) return null;
  if (isAsDrawn(layer, drawn)) return { ...box, x: box.x + layer.x, y: box.y + layer.y };
  // Until they are drawn anew.
  const corners = cornersOf(box).map((corner) => sinceDrawn(layer, drawn.as, corner));
  return around(corners.map((corner) => ({ ...corner, width: 0, height: 0 })));
}

/**
 * The same with the layer's effects.
 * @param {Layer} layer
 */
export function seenOf(layer) {
  const box = boxOf(layer);
  if (!box || !layer.effects) return box;
  const { left, above, right, below } = margins(layer.effects);
  return { x: box.x - left, y: box.y - above, width: box.width + left + right, height: box.height + above + below };
}

/**
 * Where a point of words that were drawn for another size or turn lies now.
 * @param {Layer} layer
 * @param {import("./drawn.js").Turned} as
 * @param {Point} point of the canvas, when the layer was not moved
 */
function sinceDrawn(layer, as, point) {
  const { own, before } = middlesOf(layer);
  const upright = turned(point, -as.rotation, before);
  return placeOf(layer, { x: own.x + (upright.x - before.x) / as.scale_x, y: own.y + (upright.y - before.y) / as.scale_y });
}

/**
 * Where a point of the canvas lies in words as they were drawn.
 * @param {Layer} layer
 * @param {import("./drawn.js").Turned} as
 * @param {Point} point
 */
export function toDrawn(layer, as, point) {
  const { own, before } = middlesOf(layer);
  const { x, y } = backOf(layer, point);
  return turned({ x: before.x + (x - own.x) * as.scale_x, y: before.y + (y - own.y) * as.scale_y }, as.rotation, before);
}

/** @type {(box: Rect) => Point[]} */
export const cornersOf = ({ x, y, width, height }) => [{ x, y }, { x: x + width, y }, { x: x + width, y: y + height }, { x, y: y + height }];

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
