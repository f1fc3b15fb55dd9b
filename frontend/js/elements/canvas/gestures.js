// @ts-check
import { layerAt, wordsAt } from "../../editor/compositor.js";
import { mode, selected } from "../../editor/display.js";
import { boxAt, layerOf, layersNow, partsAt } from "../../editor/document.js";
import { moveBy } from "../../editor/edits.js";
import { endEdit, redo, undo } from "../../editor/history.js";
import { hit, pathTo } from "../../editor/tree.js";
import { closest } from "../../lib/view.js";
import { typeOver } from "./typing.js";

/** @typedef {import("../../types.js").Point} Point */

/**
 * A press that may become a drag: of a layer or group that `moves`, or of the view.
 * @typedef {object} Drag
 * @property {Point} from
 * @property {Point} last
 * @property {number | null} key what is under the pointer
 * @property {boolean} moves
 * @property {boolean} begun
 * @property {[number, number]} [by] how far it was dragged, in pixels of the document
 * @property {number | null} [frame] that is asked for
 */

const DRAG_FROM_PX = 4;
const WHEEL_ZOOM = 0.0022;
const PAN_KEY_PX = 60;
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Pointer, wheel and keys on the canvas: zoom, pan, select, move, nudge. */
export class Gestures {
  #frame;
  #viewport;
  #compositor;
  /** @type {Map<number, Point>} */
  #pointers = new Map();
  /** @type {Drag | null} */
  #drag = null;

  /**
   * @param {HTMLElement} frame
   * @param {import("./viewport.js").Viewport} viewport
   * @param {import("../../editor/compositor.js").Compositor} compositor
   */
  constructor(frame, viewport, compositor) {
    this.#frame = frame;
    this.#viewport = viewport;
    this.#compositor = compositor;
    frame.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    frame.addEventListener("pointerdown", (event) => this.#down(event));
    frame.addEventListener("pointermove", (event) => this.#move(event));
    frame.addEventListener("pointerup", (event) => this.#up(event));
    frame.addEventListener("pointercancel", (event) => this.#up(event));
    frame.addEventListener("dblclick", (event) => this.#deeper(event));
    frame.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {MouseEvent} event
   * @returns {Point} in the frame
   */
  #point(event) {
    const box = this.#frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    const { x, y } = this.#point(event);
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.#viewport.zoomTo(this.#viewport.scale * Math.exp(-event.deltaY * WHEEL_ZOOM * (event.ctrlKey && Math.abs(event.deltaY) < 20 ? 4 : 1)), x, y);
    } else if (this.#viewport.overflows) {
      event.preventDefault();
      const [dx, dy] = event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
      this.#viewport.panBy(-dx, -dy);
    }
  }

  /** @param {PointerEvent} event */
  #down(event) {
    if (closest(event, "input, button")) return;
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size > 1) return this.#drop();
    const key = event.button === 0 ? this.#keyAt(point) : null;
    // Touch must still scroll the page: it moves only a layer that is already selected.
    const moves = key !== null && !isLocked(key) && (event.pointerType !== "touch" || key === selected.value);
    this.#drag = { from: point, last: point, key, moves, begun: false };
    this.#frame.setPointerCapture(event.pointerId);
  }

  /**
   * The key that a click at a point selects.
   * @param {Point} point
   * @param {boolean} [deeper]
   */
  #keyAt(point, deeper = false) {
    if (mode.value !== "layers") return null;
    const { x, y } = this.#viewport.toContent(point.x, point.y);
    const layer = layerAt(x, y);
    return layer && hit(layersNow(), layer, selected.value, deeper);
  }

  /**
   * Types over words, or selects one group further in.
   * @param {MouseEvent} event
   */
  #deeper(event) {
    if (closest(event, "input, button")) return;
    const { x, y } = this.#point(event);
    const at = this.#viewport.toContent(x, y);
    if (mode.value === "layers" && typeOver(wordsAt(at.x, at.y), at)) return event.preventDefault();
    const key = this.#keyAt(this.#point(event), true);
    if (key !== null) selected.value = key;
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size === 2) return this.#pinch(event.pointerId, before, point);
    const drag = this.#drag;
    if (!drag) return;
    if (!drag.begun) {
      if (Math.hypot(point.x - drag.from.x, point.y - drag.from.y) < DRAG_FROM_PX) return;
      this.#begin(drag);
    }
    if (drag.moves) this.#moveLayer(drag, point);
    else this.#viewport.panBy(point.x - drag.last.x, point.y - drag.last.y);
    drag.last = point;
  }

  /** @param {Drag} drag */
  #begin(drag) {
    drag.begun = true;
    this.#frame.dataset.dragging = "";
    if (!drag.moves || drag.key === null) return;
    selected.value = drag.key;
    endEdit();
    this.#compositor.beginDrag(drag.key);
  }

  /**
   * @param {Drag} drag
   * @param {Point} point
   */
  #moveLayer(drag, point) {
    /** @type {(to: number, start: number) => number} */
    const by = (to, start) => Math.round((to - start) / this.#viewport.scale);
    drag.by = [by(point.x, drag.from.x), by(point.y, drag.from.y)];
    // A mouse may report more often than the screen shows.
    drag.frame ??= requestAnimationFrame(() => {
      if (this.#drag !== drag || !drag.by) return;
      drag.frame = null;
      this.#compositor.drag(...drag.by);
    });
  }

  /**
   * @param {number} id of the finger that moved
   * @param {Point} before
   * @param {Point} after
   */
  #pinch(id, before, after) {
    const [other] = [...this.#pointers].filter(([one]) => one !== id).map(([, point]) => point);
    /** @param {Point} point */
    const spread = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    const factor = spread(after) / spread(before);
    this.#viewport.zoomTo(this.#viewport.scale * factor, (after.x + other.x) / 2, (after.y + other.y) / 2);
    this.#viewport.panBy((after.x - before.x) / 2, (after.y - before.y) / 2);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (!this.#pointers.delete(event.pointerId) || !this.#drag) return;
    const isWhole = event.type === "pointerup";
    if (!this.#drag.begun && isWhole && mode.value === "layers") selected.value = this.#drag.key;
    this.#drop(isWhole);
  }

  /**
   * Ends a drag; what was moved stays there, or goes back to its place.
   * @param {boolean} [keep]
   */
  #drop(keep = false) {
    const drag = this.#drag;
    this.#drag = null;
    delete this.#frame.dataset.dragging;
    if (!drag?.begun || !drag.moves || drag.key === null) return;
    if (keep && drag.by?.some(Boolean)) moveBy(drag.key, ...drag.by);
    this.#compositor.endDrag();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (closest(event, "input")) return;
    const action = this.#action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  /**
   * The action of a key, or `null`.
   * @param {KeyboardEvent} event
   * @returns {(() => void) | null}
   */
  #action(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    const { key } = event;
    if (key === "+" || key === "=") return () => this.#viewport.zoomTo(this.#viewport.scale * 1.25);
    if (key === "-") return () => this.#viewport.zoomTo(this.#viewport.scale / 1.25);
    if (key === "0") return () => this.#viewport.fit();
    if (key === "1") return () => this.#viewport.zoomTo(1);
    const words = layerOf(selected.value);
    if (key === "Enter" && words) return () => typeOver(words);
    if (key === "Escape" && this.#drag) return () => this.#drop();
    // To the enclosing group first.
    const chosen = selected.value;
    if (key === "Escape" && chosen !== null) return () => (selected.value = pathTo(layersNow(), chosen).at(-2) ?? null);
    if (!(key in ARROWS)) return null;
    const [dx, dy] = ARROWS[key];
    if (chosen === null) return () => this.#viewport.panBy(-dx * PAN_KEY_PX, -dy * PAN_KEY_PX);
    return () => nudge(chosen, dx, dy, event.shiftKey ? 10 : 1);
  }
}

/** @param {number} key */
const isLocked = (key) => partsAt(key).some((layer) => layer.locked);

/**
 * @param {number} key
 * @param {number} dx
 * @param {number} dy
 * @param {number} by how many pixels
 */
function nudge(key, dx, dy, by) {
  if (boxAt(key) === null || isLocked(key)) return;
  moveBy(key, dx * by, dy * by, `nudge ${key}`);
}

/**
 * Undo and redo from anywhere on the page but text fields.
 * @param {KeyboardEvent} event
 */
export function takeUndoKeys(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || closest(event, "textarea, input:not([type=range], [type=checkbox])")) return;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) undo();
  else if ((key === "z" && event.shiftKey) || key === "y") redo();
  else return;
  event.preventDefault();
}
