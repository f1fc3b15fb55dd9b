// @ts-check
import { resize } from "./resize.js";
import { turn } from "./turn.js";

/**
 * Makes pictures of another size and turn, beside the page's own work.
 *
 * @typedef {import("./turn.js").Pixels} Pixels
 * @typedef {{ id: number, picture: Pixels, size: import("../types.js").Size, turn: number }} Order
 */

/** @type {(order: Order) => Pixels} */
export function make({ picture, size, turn: degrees }) {
  const isAsBefore = picture.width === size.width && picture.height === size.height;
  return turn(isAsBefore ? picture : resize(picture, size), degrees);
}

addEventListener("message", (event) => {
  const order = /** @type {MessageEvent<Order>} */ (event).data;
  const made = make(order);
  const scope = /** @type {{ postMessage: (message: unknown, transfer: Transferable[]) => void }} */ (/** @type {unknown} */ (globalThis));
  scope.postMessage({ id: order.id, ...made }, [made.data.buffer]);
});
