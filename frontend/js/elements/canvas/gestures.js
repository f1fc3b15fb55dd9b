import { layerAt } from "../../editor/compositor.js";
import { boxAt, doc, endEdit, mode, moveBy, redo, selected, undo } from "../../editor/document.js";
import { hit, membersOf, pathTo } from "../../editor/tree.js";

const DRAG_FROM_PX = 4;
const WHEEL_ZOOM = 0.0022;
const PAN_KEY_PX = 60;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Pointer, wheel and keys on the canvas: zoom, pan, select, move, nudge. */
export class Gestures {
  #frame;
  #viewport;
  #compositor;
  #pointers = new Map();
  #drag = null;

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

  #point(event) {
    const box = this.#frame.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

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

  #down(event) {
    if (event.target.closest("input, button")) return;
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size > 1) return this.#drop();
    const key = event.button === 0 ? this.#keyAt(point) : null;
    // A finger must be able to scroll the page: it moves only what was chosen before.
    const moves = key !== null && !isLocked(key) && (event.pointerType !== "touch" || key === selected.value);
    this.#drag = { from: point, last: point, key, moves, begun: false };
    this.#frame.setPointerCapture(event.pointerId);
  }

  /** What a click at a point chooses. */
  #keyAt(point, deeper = false) {
    if (mode.value !== "layers") return null;
    const { x, y } = this.#viewport.toContent(point.x, point.y);
    const layer = layerAt(x, y);
    return layer && hit(doc.value.layers, layer, selected.value, deeper);
  }

  // Into a group.
  #deeper(event) {
    if (event.target.closest("input, button")) return;
    const key = this.#keyAt(this.#point(event), true);
    if (key !== null) selected.value = key;
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size === 2) return this.#pinch(event.pointerId, before);
    if (!this.#drag) return;
    const { from } = this.#drag;
    if (!this.#drag.begun) {
      if (Math.hypot(point.x - from.x, point.y - from.y) < DRAG_FROM_PX) return;
      this.#begin();
    }
    if (this.#drag.moves) this.#moveLayer(point);
    else this.#viewport.panBy(point.x - this.#drag.last.x, point.y - this.#drag.last.y);
    this.#drag.last = point;
  }

  #begin() {
    this.#drag.begun = true;
    this.#frame.dataset.dragging = "";
    if (!this.#drag.moves) return;
    selected.value = this.#drag.key;
    endEdit();
    this.#compositor.beginDrag(this.#drag.key);
  }

  #moveLayer(point) {
    const { from } = this.#drag;
    const by = (to, start) => Math.round((to - start) / this.#viewport.scale);
    this.#drag.by = [by(point.x, from.x), by(point.y, from.y)];
    // A mouse may report more often than the screen shows.
    this.#drag.frame ??= requestAnimationFrame(() => {
      if (!this.#drag?.by) return;
      this.#drag.frame = null;
      this.#compositor.drag(...this.#drag.by);
    });
  }

  #pinch(id, before) {
    const after = this.#pointers.get(id);
    const [other] = [...this.#pointers].filter(([one]) => one !== id).map(([, point]) => point);
    const spread = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
    const factor = spread(after) / spread(before);
    this.#viewport.zoomTo(this.#viewport.scale * factor, (after.x + other.x) / 2, (after.y + other.y) / 2);
    this.#viewport.panBy((after.x - before.x) / 2, (after.y - before.y) / 2);
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId) || !this.#drag) return;
    const isWhole = event.type === "pointerup";
    if (!this.#drag.begun && isWhole && mode.value === "layers") selected.value = this.#drag.key;
    this.#drop(isWhole);
  }

  /** Ends a drag; what was moved stays there, or goes back to its place. */
  #drop(keep = false) {
    const drag = this.#drag;
    this.#drag = null;
    delete this.#frame.dataset.dragging;
    if (!drag?.begun || !drag.moves) return;
    if (keep && drag.by?.some(Boolean)) moveBy(drag.key, ...drag.by);
    this.#compositor.endDrag();
  }

  #key(event) {
    if (event.target.closest("input")) return;
    const action = this.#action(event);
    if (!action) return;
    event.preventDefault();
    action();
  }

  #action(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return null;
    const { key } = event;
    if (key === "+" || key === "=") return () => this.#viewport.zoomTo(this.#viewport.scale * 1.25);
    if (key === "-") return () => this.#viewport.zoomTo(this.#viewport.scale / 1.25);
    if (key === "0") return () => this.#viewport.fit();
    if (key === "1") return () => this.#viewport.zoomTo(1);
    if (key === "Escape" && this.#drag) return () => this.#drop();
    // Out of a group first.
    if (key === "Escape" && selected.value !== null) return () => (selected.value = pathTo(doc.value.layers, selected.value).at(-2) ?? null);
    if (!(key in ARROWS)) return null;
    const [dx, dy] = ARROWS[key];
    if (selected.value === null) return () => this.#viewport.panBy(-dx * PAN_KEY_PX, -dy * PAN_KEY_PX);
    return () => nudge(dx, dy, event.shiftKey ? 10 : 1);
  }
}

const isLocked = (key) => membersOf(doc.value.layers, key).some((layer) => layer.locked);

function nudge(dx, dy, by) {
  const key = selected.value;
  if (boxAt(key) === null || isLocked(key)) return;
  moveBy(key, dx * by, dy * by, `nudge ${key}`);
}

/** Undo and redo from anywhere on the page but text fields. */
export function takeUndoKeys(event) {
  if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.closest?.("textarea, input:not([type=range], [type=checkbox])")) return;
  const key = event.key.toLowerCase();
  if (key === "z" && !event.shiftKey) undo();
  else if ((key === "z" && event.shiftKey) || key === "y") redo();
  else return;
  event.preventDefault();
}
