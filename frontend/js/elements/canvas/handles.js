// @ts-check
import { mode, picked } from "../../editor/display.js";
import { shapeOf } from "../../editor/document.js";
import { isLocked, transform } from "../../editor/edits.js";
import { middleOf, turned } from "../../editor/geometry.js";
import { endEdit } from "../../editor/history.js";
import { normal, rotated, scaled } from "../../editor/transform.js";

/**
 * @typedef {import("../../types.js").Point} Point
 * @typedef {import("../../types.js").Rect} Rect
 */

/**
 * Handles by where they are, as shares of the width and the height, and the angle from the middle to each, from the top.
 * @type {[x: number, y: number, angle: number][]}
 */
const PLACES = [[0, 0, 315], [0.5, 0, 0], [1, 0, 45], [1, 0.5, 90], [1, 1, 135], [0.5, 1, 180], [0, 1, 225], [0, 0.5, 270]];
/** Pointers that show a way, by the angle that the way has from the top, in eighths of a turn. */
const CURSORS = ["ns", "nesw", "ew", "nwse"];
/** Smallest factor by which a drag changes a side. */
const LEAST = 0.001;
/** Degrees between the angles that Shift keeps to. */
const STEP = 15;

/**
 * By how much a box grows whose handle was dragged. Corners keep the proportions: as far as the drag goes the way to the
 * opposite corner. Sides change one length. `isOther` turns that round.
 * @param {Rect} box
 * @param {[number, number]} place of the handle, as shares
 * @param {Point} by how far it was dragged
 * @param {boolean} [isOther]
 * @returns {Point} factors of width and height
 */
export function growth({ width, height }, [x, y], by, isOther = false) {
  const way = { x: (2 * x - 1) * width, y: (2 * y - 1) * height };
  /** @type {(along: number, drag: number) => number} */
  const side = (along, drag) => (along === 0 ? 1 : Math.max(LEAST, 1 + drag / along));
  const isCorner = x !== 0.5 && y !== 0.5;
  if (isCorner === isOther) return { x: side(way.x, by.x), y: side(way.y, by.y) };
  const length = way.x ** 2 + way.y ** 2;
  const one = length === 0 ? 1 : Math.max(LEAST, 1 + (by.x * way.x + by.y * way.y) / length);
  return { x: one, y: one };
}

/**
 * How far something was turned: in whole degrees, or with `inSteps` to a multiple of 15 degrees.
 * @param {number} before its turn when the drag began
 * @param {number} by degrees
 * @param {boolean} inSteps
 */
export function turnBy(before, by, inSteps) {
  const to = inSteps ? Math.round((before + by) / STEP) * STEP : Math.round(before + by);
  return normal(to - before);
}

/** @typedef {{ keys: number[], box: Rect, turn: number, from: Point, place: [number, number] | null }} Drag */

/**
 * Eight handles on the outline of what is selected, and one above it. A drag of one of the eight scales it, and the opposite
 * one stays where it is; the one above turns it.
 */
export class Handles {
  #outline;
  #viewport;
  /** @type {Drag | null} `place` is absent for a turn */
  #drag = null;

  /**
   * @param {HTMLElement} outline
   * @param {import("./viewport.js").Viewport} viewport
   */
  constructor(outline, viewport) {
    this.#outline = outline;
    this.#viewport = viewport;
    for (const [x, y, angle] of PLACES) {
      const handle = this.#add("handle", [x, y]);
      handle.dataset.angle = String(angle);
      Object.assign(handle.style, { left: `${100 * x}%`, top: `${100 * y}%` });
    }
    this.#add("handle turn", null);
  }

  /**
   * @param {string} className
   * @param {[number, number] | null} place
   */
  #add(className, place) {
    const handle = Object.assign(document.createElement("div"), { className });
    handle.addEventListener("pointerdown", (event) => this.#down(event, handle, place));
    handle.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => this.#end());
    this.#outline.append(handle);
    return handle;
  }

  /** Shows them where there is something to scale. */
  sync() {
    const isFree = picked.value.length > 0 && !picked.value.some(isLocked);
    this.#outline.toggleAttribute("data-handles", isFree && mode.value === "layers");
    const turn = shapeOf(picked.value)?.turn ?? 0;
    for (const handle of this.#outline.querySelectorAll("[data-angle]")) {
      if (!(handle instanceof HTMLElement)) continue;
      const eighths = Math.round((Number(handle.dataset.angle) + turn) / 45);
      handle.style.cursor = `${CURSORS[((eighths % 4) + 4) % 4]}-resize`;
    }
  }

  /**
   * @param {PointerEvent} event
   * @param {HTMLElement} handle
   * @param {[number, number] | null} place
   */
  #down(event, handle, place) {
    const shape = shapeOf(picked.value);
    if (!shape || event.button !== 0) return;
    // The canvas below would begin to move the layer.
    event.stopPropagation();
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    endEdit();
    this.#drag = { keys: picked.value, ...shape, from: { x: event.clientX, y: event.clientY }, place };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.#drag) return;
    const { place } = this.#drag;
    if (place) this.#scale(this.#drag, place, event);
    else this.#turn(this.#drag, event);
  }

  /**
   * @param {Drag} drag
   * @param {[number, number]} place
   * @param {PointerEvent} event
   */
  #scale({ keys, box, turn, from }, [x, y], event) {
    const { scale } = this.#viewport;
    const by = turned({ x: (event.clientX - from.x) / scale, y: (event.clientY - from.y) / scale }, -turn);
    const factors = growth(box, [x, y], by, event.shiftKey);
    const opposite = turned({ x: box.x + (1 - x) * box.width, y: box.y + (1 - y) * box.height }, turn, middleOf(box));
    transform(keys, (members) => scaled(members, factors, opposite, turn), `handle ${keys}`);
  }

  /**
   * @param {Drag} drag
   * @param {PointerEvent} event
   */
  #turn({ keys, box, turn, from }, event) {
    const middle = this.#onScreen(middleOf(box));
    /** @type {(point: Point) => number} */
    const angle = ({ x, y }) => (Math.atan2(y - middle.y, x - middle.x) * 180) / Math.PI;
    const by = turnBy(turn, angle({ x: event.clientX, y: event.clientY }) - angle(from), event.shiftKey);
    transform(keys, (members) => rotated(members, by, middleOf(box)), `turn ${keys}`);
  }

  /**
   * @param {Point} point of the canvas
   * @returns {Point}
   */
  #onScreen({ x, y }) {
    const { left, top } = /** @type {HTMLElement} */ (this.#outline.parentElement).getBoundingClientRect();
    return { x: left + x * this.#viewport.scale, y: top + y * this.#viewport.scale };
  }

  #end() {
    if (!this.#drag) return;
    this.#drag = null;
    endEdit();
  }
}
