// @ts-check
import { guides, hovered, mode, pick, pickAlso, picked, selected, tool } from "../../editor/display.js";
import { boxAt, layersNow } from "../../editor/document.js";
import { isLocked, moveAll, moveBy } from "../../editor/edits.js";
import { layerAt } from "../../editor/hit.js";
import { endEdit, undo } from "../../editor/history.js";
import { boxesBeside, snapped } from "../../editor/snapping.js";
import { isPixelTool, tools } from "../../editor/tooling.js";
import { hit } from "../../editor/tree.js";
import { closest } from "../../lib/view.js";
import { Marquee, keysIn } from "./marquee.js";
import { typeOver } from "./typing.js";

/** @typedef {import("../../types.js").Point} Point */

/**
 * A press that may become a drag: of a layer or group that `moves`, or of the view.
 * @typedef {object} Drag
 * @property {Point} from
 * @property {Point} last
 * @property {number | null} key what is under the pointer
 * @property {boolean} moves
 * @property {boolean} selects whether it selects what is under the pointer if it comes to no drag
 * @property {boolean} adds whether it adds to what is selected: a click one thing, a drag all in a rectangle
 * @property {Marquee | null} [marquee]
 * @property {number[]} [several] what is moved together, if it is more than one
 * @property {boolean} [isFree] whether it goes where the pointer goes, and is not drawn to edges
 * @property {{ box: import("../../types.js").Rect | null, others: import("../../types.js").Rect[] }} [edges]
 * @property {boolean} begun
 * @property {[number, number]} [by] how far it was dragged, in pixels of the document
 * @property {number | null} [frame] that is asked for
 */

const DRAG_FROM_PX = 4;
/** From how far, on the screen, a layer is drawn to an edge. */
const SNAP_PX = 5;
const WHEEL_ZOOM = 0.0022;

/** Pointer and wheel on the canvas: zoom, pan, select, move. */
export class Gestures {
  #frame;
  #viewport;
  #compositor;
  /** @type {Map<number, Point>} */
  #pointers = new Map();
  /** @type {Drag | null} */
  #drag = null;
  /**
   * What a press of a tool does that works on pixels.
   * @type {import("../../tools/worker.js").Worker | null}
   */
  #worker = null;
  /** The pointer that is pressed with such a tool. */
  #working = -1;
  /** Whether Space is held, which is the hand tool for as long. */
  #isHeld = false;
  /** Whether a mouse is over the canvas. */
  isOver = false;
  /** @type {number | null} the frame in which it is looked what the pointer is over */
  #looking = null;

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
    frame.addEventListener("pointerenter", ({ pointerType }) => (this.isOver = pointerType !== "touch"));
    frame.addEventListener("pointerleave", () => this.#leave());
    // Two fingers pan and zoom the picture, never the page.
    frame.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), { passive: false });
    // The middle button would scroll the page by itself.
    frame.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
  }

  /**
   * Takes the hand for as long as it is held.
   * @param {boolean} held
   */
  hold(held) {
    this.#isHeld = held;
    this.showTool();
  }

  /** Whether a drag moves the view and nothing else. */
  get #isHand() {
    return this.#isHeld || tool.value === "hand";
  }

  /** Whether a press works on pixels and moves nothing. */
  get #isWork() {
    return isPixelTool() && !this.#isHeld;
  }

  /** Shows by the pointer what a drag does. */
  showTool() {
    this.#frame.toggleAttribute("data-hand", this.#isHand);
    this.#frame.dataset.tool = tool.value;
    if (tools.value) this.#worker ??= new tools.value.Worker(this.#frame, this.#viewport);
    if (this.#isHand || this.#isWork) hovered.value = null;
  }

  /** Whether there is a drag that `cancel` ends. */
  get isDragging() {
    return this.#drag !== null || this.#working >= 0;
  }

  /** Ends a drag, as if it had not been. */
  cancel() {
    this.#drop();
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
    } else if (this.#viewport.overflows || !pageScrolls()) {
      event.preventDefault();
      const [dx, dy] = event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
      this.#viewport.panBy(-dx, -dy);
    }
  }

  /** @param {PointerEvent} event */
  #down(event) {
    // The right button opens the menu.
    if (closest(event, "input, button") || event.button > 1) return;
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size > 1) return this.#drop();
    if (this.#isWork && event.button === 0) {
      // The tool is still on its way.
      if (!this.#worker) return;
      this.#working = event.pointerId;
      this.#frame.setPointerCapture(event.pointerId);
      return this.#worker.down(point, event);
    }
    const key = event.button === 0 && !this.#isHand ? this.keyAt(event) : null;
    // A finger moves only a layer that is already selected: otherwise it pans.
    const adds = event.shiftKey && event.button === 0 && !this.#isHand && mode.value === "layers";
    const moves = !adds && key !== null && !isLocked(key) && (event.pointerType !== "touch" || picked.value.includes(key));
    this.#drag = { from: point, last: point, key, moves, selects: event.button === 0 && !this.#isHand, adds, begun: false };
    this.#frame.setPointerCapture(event.pointerId);
  }

  /**
   * The key of what is under the pointer, which a click selects; `null` for nothing and for what is locked.
   * @param {MouseEvent} event
   * @param {boolean} [deeper]
   */
  keyAt(event, deeper = false) {
    const layer = this.#layerAt(event);
    return layer && hit(layersNow(), layer, selected.value, deeper);
  }

  /** @param {MouseEvent} event */
  #layerAt(event) {
    const { x, y } = this.#point(event);
    return mode.value === "layers" ? layerAt(this.#viewport.toContent(x, y)) : null;
  }

  /**
   * Types over words, or selects one group further in.
   * @param {MouseEvent} event
   */
  #deeper(event) {
    if (closest(event, "input, button") || this.#isHand || this.#isWork) return;
    const { x, y } = this.#point(event);
    if (typeOver(this.#layerAt(event), this.#viewport.toContent(x, y))) return event.preventDefault();
    const key = this.keyAt(event, true);
    if (key !== null) selected.value = key;
  }

  /**
   * Tells what the pointer is over, at most once a frame.
   * @param {PointerEvent} event
   */
  #hover(event) {
    if (event.pointerType === "touch" || this.#isHand || this.#isWork || this.#looking !== null) return;
    this.#looking = requestAnimationFrame(() => {
      this.#looking = null;
      if (this.isOver && !this.#drag) hovered.value = closest(event, "input, button") ? null : this.keyAt(event);
    });
  }

  #leave() {
    this.isOver = false;
    this.#worker?.hover(null);
    hovered.value = null;
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before && this.#isWork) return this.#worker?.hover(this.#point(event));
    if (!before) return this.#hover(event);
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size === 2) return this.#pinch(event.pointerId, before, point);
    if (event.pointerId === this.#working) return this.#worker?.move(point, event);
    const drag = this.#drag;
    if (!drag) return;
    if (!drag.begun) {
      if (Math.hypot(point.x - drag.from.x, point.y - drag.from.y) < DRAG_FROM_PX) return;
      this.#begin(drag);
    }
    drag.isFree = event.ctrlKey || event.metaKey;
    if (drag.moves) this.#moveLayer(drag, point);
    else if (drag.marquee) drag.marquee.stretch(point);
    else this.#viewport.panBy(point.x - drag.last.x, point.y - drag.last.y);
    drag.last = point;
  }

  /** @param {Drag} drag */
  #begin(drag) {
    drag.begun = true;
    hovered.value = null;
    if (drag.adds) {
      drag.marquee = new Marquee(this.#frame, drag.from);
      return;
    }
    this.#frame.dataset.dragging = drag.moves ? "layer" : "view";
    if (!drag.moves || drag.key === null) return;
    selected.value = drag.key;
    endEdit();
    if (picked.value.length > 1) {
      drag.several = picked.value.filter((key) => !isLocked(key));
      return;
    }
    drag.edges = { box: boxAt(drag.key), others: boxesBeside([drag.key]) };
    this.#compositor.beginDrag(drag.key);
  }

  /**
   * @param {Drag} drag
   * @param {Point} point
   */
  #moveLayer(drag, point) {
    /** @type {(to: number, start: number) => number} */
    const by = (to, start) => Math.round((to - start) / this.#viewport.scale);
    const [x, y] = drag.by ?? [0, 0];
    drag.by = this.#snapped(drag, by(point.x, drag.from.x), by(point.y, drag.from.y));
    if (drag.several) return moveAll(drag.several, drag.by[0] - x, drag.by[1] - y, "drag");
    // A mouse may report more often than the screen shows.
    drag.frame ??= requestAnimationFrame(() => {
      if (this.#drag !== drag || !drag.by) return;
      drag.frame = null;
      this.#compositor.drag(...drag.by);
    });
  }

  /**
   * How far a drag moves, with what it is drawn to; guides show it.
   * @param {Drag} drag
   * @param {number} dx
   * @param {number} dy
   * @returns {[number, number]}
   */
  #snapped({ edges, isFree }, dx, dy) {
    if (!edges?.box || isFree) {
      guides.value = [];
      return [dx, dy];
    }
    const moved = { ...edges.box, x: edges.box.x + dx, y: edges.box.y + dy };
    const found = snapped(moved, edges.others, SNAP_PX / this.#viewport.scale);
    // Where it does not move, it is drawn to nothing.
    guides.value = found.guides.filter(({ axis }) => (axis === "x" ? dx : dy) !== 0);
    return [dx && dx + found.dx, dy && dy + found.dy];
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
    if (!this.#pointers.delete(event.pointerId)) return;
    if (event.pointerId === this.#working) {
      this.#working = -1;
      if (event.type === "pointerup") this.#worker?.up(this.#point(event));
      else this.#worker?.cancel();
      return;
    }
    if (!this.#drag) return;
    const isWhole = event.type === "pointerup";
    const { begun, selects, adds, key, marquee } = this.#drag;
    if (!begun && isWhole && selects && mode.value === "layers") {
      if (!adds) pick(key === null ? [] : [key]);
      else if (key !== null) pickAlso(key);
    }
    if (isWhole && marquee) {
      const area = marquee.area((point) => this.#viewport.toContent(point.x, point.y));
      pick([...new Set([...picked.value, ...keysIn(area)])]);
    }
    this.#drop(isWhole);
  }

  /**
   * Ends a drag; what was moved stays there, or goes back to its place.
   * @param {boolean} [keep]
   */
  #drop(keep = false) {
    this.#working = -1;
    this.#worker?.cancel();
    const drag = this.#drag;
    this.#drag = null;
    delete this.#frame.dataset.dragging;
    guides.value = [];
    drag?.marquee?.remove();
    if (drag?.several) {
      if (!keep && drag.by) undo();
      return endEdit();
    }
    if (!drag?.begun || !drag.moves || drag.key === null) return;
    if (keep && drag.by?.some(Boolean)) moveBy(drag.key, ...drag.by);
    this.#compositor.endDrag();
  }
}

/** Whether the wheel and a finger have the page to scroll. */
const pageScrolls = () => document.documentElement.scrollHeight > innerHeight;
