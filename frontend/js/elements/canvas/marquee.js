// @ts-check
import { isShown } from "../../editor/display.js";
import { layersNow } from "../../editor/document.js";
import { boxOf } from "../../editor/geometry.js";
import { hit } from "../../editor/tree.js";

/**
 * @typedef {import("../../types.js").Point} Point
 * @typedef {import("../../types.js").Rect} Rect
 */

/** The rectangle that is drawn around what is to be selected. */
export class Marquee {
  #from;
  #to;
  #box = Object.assign(document.createElement("div"), { className: "marquee" });

  /**
   * @param {HTMLElement} frame
   * @param {Point} from where it begins in the frame
   */
  constructor(frame, from) {
    this.#from = from;
    this.#to = from;
    this.#box.setAttribute("aria-hidden", "true");
    frame.append(this.#box);
  }

  /** @param {Point} to */
  stretch(to) {
    this.#to = to;
    const { x, y, width, height } = between(this.#from, to);
    Object.assign(this.#box.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
  }

  /**
   * What it is around, on the canvas.
   * @param {(point: Point) => Point} toContent
   */
  area(toContent) {
    return between(toContent(this.#from), toContent(this.#to));
  }

  remove() {
    this.#box.remove();
  }
}

/**
 * @param {Point} one
 * @param {Point} other
 * @returns {Rect}
 */
const between = (one, other) => ({
  x: Math.min(one.x, other.x), y: Math.min(one.y, other.y), width: Math.abs(one.x - other.x), height: Math.abs(one.y - other.y),
});

/**
 * Keys of what a click would select anywhere in an area: shown, not locked.
 * @param {Rect} area
 */
export function keysIn(area) {
  const layers = layersNow();
  const met = layers.filter((layer) => {
    const box = layer.locked || !isShown(layer) ? null : boxOf(layer);
    return box && box.x < area.x + area.width && area.x < box.x + box.width && box.y < area.y + area.height && area.y < box.y + box.height;
  });
  return [...new Set(met.map((layer) => hit(layers, layer, null, false)))];
}
