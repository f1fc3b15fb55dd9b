import { layerAt } from "../../editor/compositor.js";
import { boxOf, editLayer, endEdit, layerOf, mode, redo, selected, undo } from "../../editor/document.js";

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
    const { x, y } = this.#viewport.toContent(point.x, point.y);
    const key = event.button === 0 && mode.value === "layers" ? layerAt(x, y) : null;
    // A finger must be able to scroll the page: it moves only what was chosen before.
    const moves = key !== null && (event.pointerType !== "touch" || key === selected.value);
    this.#drag = { from: point, last: point, key, moves, begun: false };
    this.#frame.setPointerCapture(event.pointerId);
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
    const { key } = this.#drag;
    selected.value = key;
    this.#drag.origin = layerOf(key);
    endEdit();
    this.#compositor.beginDrag(key);
  }

  #moveLayer(point) {
    const { from, origin, key } = this.#drag;
    const x = origin.x + Math.round((point.x - from.x) / this.#viewport.scale);
    const y = origin.y + Math.round((point.y - from.y) / this.#viewport.scale);
    editLayer(key, { x, y }, `drag ${key}`);
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
    if (!this.#drag.begun && event.type === "pointerup" && mode.value === "layers") selected.value = this.#drag.key;
    this.#drop();
  }

  #drop() {
    if (this.#drag?.begun && this.#drag.moves) {
      endEdit();
      this.#compositor.endDrag();
    }
    this.#drag = null;
    delete this.#frame.dataset.dragging;
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
    if (key === "Escape" && selected.value !== null) return () => (selected.value = null);
    if (!(key in ARROWS)) return null;
    const [dx, dy] = ARROWS[key];
    if (selected.value === null) return () => this.#viewport.panBy(-dx * PAN_KEY_PX, -dy * PAN_KEY_PX);
    return () => nudge(dx, dy, event.shiftKey ? 10 : 1);
  }
}

function nudge(dx, dy, by) {
  const layer = layerOf(selected.value);
  if (!layer || layer.locked || boxOf(layer) === null) return;
  editLayer(layer.key, { x: layer.x + dx * by, y: layer.y + dy * by }, `nudge ${layer.key}`);
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
