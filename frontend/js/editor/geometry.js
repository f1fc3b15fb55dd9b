// @ts-check

/**
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Point} Point
 * @typedef {import("../types.js").Rect} Rect
 */

/**
 * Where a layer's pixels lie on the canvas now; `null` for an empty layer.
 * @param {Pick<Layer, "info" | "origin" | "x" | "y" | "scale">} layer
 * @returns {Rect | null}
 */
export function boxOf({ info, origin, x, y, scale }) {
  const box = info.bounding_box;
  if (!box) return null;
  const [width, height] = [box.width * scale, box.height * scale];
  return {
    x: origin.x + box.x + x + (box.width - width) / 2,
    y: origin.y + box.y + y + (box.height - height) / 2,
    width, height,
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
    const box = boxOf(layer);
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
