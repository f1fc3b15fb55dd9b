// @ts-check
import { withEffects } from "./effects.js";
import { resize } from "./resize.js";
import { turn } from "./turn.js";

/**
 * Makes pictures of another size and turn, and with effects, beside the page's own work.
 *
 * @typedef {import("./turn.js").Pixels} Pixels
 * @typedef {{ id: number, picture: Pixels, size: import("../types.js").Size, turn: number, effects: import("../types.js").Effects | null }} Order
 */

/**
 * @param {Order} order
 * @returns {Pixels & { left: number, above: number }} larger by that much to the left and above
 */
export function make({ picture, size, turn: degrees, effects }) {
  const isAsBefore = picture.width === size.width && picture.height === size.height;
  const turned = turn(isAsBefore ? picture : resize(picture, size), degrees);
  return effects ? withEffects(turned, effects) : { ...turned, left: 0, above: 0 };
}

addEventListener("message", (event) => {
  const order = /** @type {MessageEvent<Order>} */ (event).data;
  const made = make(order);
  const scope = /** @type {{ postMessage: (message: unknown, transfer: Transferable[]) => void }} */ (/** @type {unknown} */ (globalThis));
  scope.postMessage({ id: order.id, ...made }, [made.data.buffer]);
});
