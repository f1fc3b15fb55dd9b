// @ts-check
import { tool } from "../editor/display.js";
import { doc } from "../editor/document.js";
import { Marquee } from "../elements/canvas/marquee.js";
import { brushAt, paintFrom } from "./brush.js";
import { closeLasso, lasso } from "./lasso.js";
import { addPoint, excludes, setBox } from "./picking.js";
import { pickAlike } from "./wand.js";

/**
 * What a press of the tools does that work on pixels.
 *
 * @typedef {import("../types.js").Point} Point
 */

/** From how far, on the screen, a press draws a box or a line. */
const DRAG_FROM_PX = 6;

/**
 * A press of one tool, from where it began to where it ends.
 * @typedef {{ move?: (point: Point, event: PointerEvent) => void, up?: (point: Point) => void, cancel?: () => void }} Press
 */

export class Worker {
  #frame;
  #viewport;
  /** @type {Press | null} */
  #press = null;

  /**
   * @param {HTMLElement} frame
   * @param {import("../elements/canvas/viewport.js").Viewport} viewport
   */
  constructor(frame, viewport) {
    this.#frame = frame;
    this.#viewport = viewport;
  }

  /** @type {(point: Point) => Point} where a point of the frame is on the document */
  #at = ({ x, y }) => this.#viewport.toContent(x, y);

  /**
   * @param {Point} point in the frame
   * @param {PointerEvent} event
   */
  down(point, event) {
    if (tool.value === "pick") this.#press = this.#pick(point, event);
    if (tool.value === "wand") this.#press = { up: (end) => void pickAlike(this.#at(end), event) };
    if (tool.value === "lasso") this.#press = this.#draw(point, event);
    if (tool.value === "brush" || tool.value === "eraser") this.#press = paintFrom(this.#at(point), this.#at);
  }

  /**
   * @param {Point} point
   * @param {PointerEvent} event
   */
  move(point, event) {
    this.hover(point);
    this.#press?.move?.(point, event);
  }

  /**
   * Where the pointer is while nothing is pressed.
   * @param {Point | null} point
   */
  hover(point) {
    brushAt.value = point && this.#at(point);
    if (lasso.value && point) lasso.value = { ...lasso.value, next: this.#at(point) };
  }

  /** @param {Point} point */
  up(point) {
    const press = this.#press;
    this.#press = null;
    press?.up?.(point);
  }

  cancel() {
    const press = this.#press;
    this.#press = null;
    press?.cancel?.();
  }

  /**
   * A click on a thing, or a box around it.
   * @param {Point} from
   * @param {PointerEvent} event
   * @returns {Press}
   */
  #pick(from, { altKey }) {
    /** @type {Marquee | null} */
    let marquee = null;
    return {
      move: (point) => {
        if (isFar(point, from)) marquee ??= new Marquee(this.#frame, from);
        marquee?.stretch(point);
      },
      up: (point) => {
        const area = marquee?.area(this.#at);
        marquee?.remove();
        const place = this.#at(point);
        if (area) boxOn(area);
        else if (isWithin(place)) void addPoint(place, altKey === excludes.value);
      },
      cancel: () => marquee?.remove(),
    };
  }

  /**
   * A line around something: drawn freely, or from click to click.
   * @param {Point} from
   * @param {PointerEvent} event
   * @returns {Press}
   */
  #draw(from, event) {
    const how = { adds: event.shiftKey, takes: event.altKey };
    const first = lasso.value?.points[0];
    const isEnd = first !== undefined && !isFar(from, this.#viewport.toScreen(first.x, first.y));
    if (!isEnd) lasso.value = { ...(lasso.value ?? { points: [], ...how }), points: [...(lasso.value?.points ?? []), this.#at(from)], next: null };
    let isFree = false;
    return {
      move: (point) => {
        if (!lasso.value || isEnd || !(isFree ||= isFar(point, from))) return;
        lasso.value = { ...lasso.value, points: [...lasso.value.points, this.#at(point)], next: null };
      },
      up: () => {
        if (isEnd || isFree) closeLasso();
      },
      cancel: () => (lasso.value = null),
    };
  }
}

/** @type {(one: Point, other: Point) => boolean} */
const isFar = (one, other) => Math.hypot(one.x - other.x, one.y - other.y) >= DRAG_FROM_PX;

/** @param {Point} point */
function isWithin({ x, y }) {
  return doc.value !== null && x >= 0 && y >= 0 && x <= doc.value.width && y <= doc.value.height;
}

/**
 * Picks what is in a box, as far as it lies on the document.
 * @param {import("../types.js").Rect} box
 */
function boxOn({ x, y, width, height }) {
  if (!doc.value) return;
  const [left, top] = [Math.max(0, x), Math.max(0, y)];
  const [right, bottom] = [Math.min(doc.value.width, x + width), Math.min(doc.value.height, y + height)];
  if (right > left && bottom > top) void setBox({ x: left, y: top, width: right - left, height: bottom - top });
}
