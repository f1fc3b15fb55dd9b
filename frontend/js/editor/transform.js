// @ts-check
import { frameOf, middlesOf, turned } from "./geometry.js";

/**
 * Layers scaled and turned as one. Layers lie at whole pixels.
 *
 * @typedef {import("../types.js").Layer} Layer
 * @typedef {import("../types.js").Point} Point
 */

/** Smallest and largest factor of a layer's side. */
export const [LEAST, MOST] = [0.01, 16];

/** @type {(scale: number) => number} */
const limited = (scale) => Math.min(MOST, Math.max(LEAST, scale));

/**
 * An angle within half a turn to either side.
 * @param {number} degrees
 */
export function normal(degrees) {
  const positive = ((degrees % 360) + 360) % 360;
  // Sums of decimal fractions have more decimals than people type.
  return Math.round((positive > 180 ? positive - 360 : positive) * 1e4) / 1e4;
}

/**
 * Moves a layer's middle.
 * @param {Layer} layer
 * @param {(middle: Point) => Point} change
 */
function moved(layer, change) {
  const { now } = middlesOf(layer);
  const to = change(now);
  return { ...layer, x: layer.x + Math.round(to.x - now.x), y: layer.y + Math.round(to.y - now.y) };
}

/**
 * Whether layers can be scaled by two different factors along axes that are turned by `axes` degrees: those that are turned
 * otherwise would be slanted.
 * @param {Layer[]} layers
 * @param {number} axes
 */
export const canStretch = (layers, axes) => layers.every((layer) => (layer.rotation - axes) % 90 === 0);

/**
 * Layers scaled about a point of the canvas, along axes that are turned by `axes` degrees. With layers among them that
 * cannot be stretched so, both factors are the one that changes more.
 * @param {Layer[]} layers
 * @param {Point} factors
 * @param {Point} about
 * @param {number} [axes]
 * @returns {Layer[]}
 */
export function scaled(layers, factors, about, axes = 0) {
  const one = Math.abs(factors.x - 1) > Math.abs(factors.y - 1) ? factors.x : factors.y;
  const { x: across, y: down } = canStretch(layers, axes) ? factors : { x: one, y: one };
  return layers.map((layer) => {
    if (!frameOf(layer)) return layer;
    // A layer that lies on its side.
    const isAcross = (layer.rotation - axes) % 180 !== 0;
    const [own, other] = isAcross ? [down, across] : [across, down];
    const sides = { scale_x: limited(layer.scale_x * own), scale_y: limited(layer.scale_y * other) };
    return {
      ...moved(layer, (middle) => {
        const { x, y } = turned(middle, -axes, about);
        return turned({ x: about.x + (x - about.x) * across, y: about.y + (y - about.y) * down }, axes, about);
      }),
      ...sides,
    };
  });
}

/**
 * Layers turned about a point of the canvas.
 * @param {Layer[]} layers
 * @param {number} degrees clockwise
 * @param {Point} about
 * @returns {Layer[]}
 */
export function rotated(layers, degrees, about) {
  return layers.map((layer) => {
    if (!frameOf(layer)) return layer;
    return { ...moved(layer, (middle) => turned(middle, degrees, about)), rotation: normal(layer.rotation + degrees) };
  });
}
