// @ts-check
import { mode, picked, selected } from "../../editor/display.js";
import { boxAt, partsAt } from "../../editor/document.js";
import { isLocked, scaleAbout } from "../../editor/edits.js";
import { endEdit } from "../../editor/history.js";

/**
 * @typedef {import("../../types.js").Point} Point
 * @typedef {import("../../types.js").Rect} Rect
 */

/**
 * Handles by where they are: shares of the width and the height.
 * @type {[x: number, y: number, cursor: string][]}
 */
const PLACES = [
  [0, 0, "nwse"], [0.5, 0, "ns"], [1, 0, "nesw"], [1, 0.5, "ew"], [1, 1, "nwse"], [0.5, 1, "ns"], [0, 1, "nesw"], [0, 0.5, "ew"],
];
/** Smallest and largest scale of a layer. */
const [LEAST, MOST] = [0.01, 16];

/**
 * By how much a box grows whose handle was dragged: as far as that goes the way to the opposite handle.
 * @param {Rect} box
 * @param {[number, number]} place of the handle, as shares
 * @param {Point} by how far it was dragged
 */
export function growth({ width, height }, [x, y], by) {
  const way = { x: (2 * x - 1) * width, y: (2 * y - 1) * height };
  const length = way.x ** 2 + way.y ** 2;
  return length === 0 ? 1 : Math.max(0.001, 1 + (by.x * way.x + by.y * way.y) / length);
}

/** Eight handles on the outline of what is selected: a drag of one scales it, and the opposite one stays where it is. */
export class Handles {
  #outline;
  #viewport;
  /** @type {{ key: number, box: Rect, scales: number[], from: Point, place: [number, number] } | null} */
  #drag = null;

  /**
   * @param {HTMLElement} outline
   * @param {import("./viewport.js").Viewport} viewport
   */
  constructor(outline, viewport) {
    this.#outline = outline;
    this.#viewport = viewport;
    for (const [x, y, cursor] of PLACES) {
      const handle = Object.assign(document.createElement("div"), { className: "handle" });
      Object.assign(handle.style, { left: `${100 * x}%`, top: `${100 * y}%`, cursor: `${cursor}-resize` });
      handle.addEventListener("pointerdown", (event) => this.#down(event, handle, [x, y]));
      handle.addEventListener("pointermove", (event) => this.#move(event));
      for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => this.#end());
      outline.append(handle);
    }
  }

  /** Shows them where there is something to scale. */
  sync() {
    const key = selected.value;
    const isOne = picked.value.length === 1 && key !== null;
    this.#outline.toggleAttribute("data-handles", isOne && mode.value === "layers" && !isLocked(key));
  }

  /**
   * @param {PointerEvent} event
   * @param {HTMLElement} handle
   * @param {[number, number]} place
   */
  #down(event, handle, place) {
    const key = selected.value;
    const box = boxAt(key);
    if (key === null || !box || event.button !== 0) return;
    // The canvas below would begin to move the layer.
    event.stopPropagation();
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    endEdit();
    this.#drag = { key, box, scales: partsAt(key).map(({ scale }) => scale), from: { x: event.clientX, y: event.clientY }, place };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#drag) return;
    const { key, box, scales, from, place } = this.#drag;
    const { scale } = this.#viewport;
    const factor = growth(box, place, { x: (event.clientX - from.x) / scale, y: (event.clientY - from.y) / scale });
    const limited = Math.min(MOST / Math.max(...scales), Math.max(LEAST / Math.min(...scales), factor));
    const opposite = { x: box.x + (1 - place[0]) * box.width, y: box.y + (1 - place[1]) * box.height };
    scaleAbout(key, limited, opposite, `handle ${key}`);
  }

  #end() {
    if (!this.#drag) return;
    this.#drag = null;
    endEdit();
  }
}
