// @ts-check
import { folded } from "../../editor/display.js";
import { layersNow } from "../../editor/document.js";
import { land } from "../../editor/edits.js";
import { landings, meant } from "../../editor/landing.js";
import { pathTo } from "../../editor/tree.js";
import { closest } from "../../lib/view.js";

/**
 * A press on a row that may become a drag.
 * @typedef {object} Drag
 * @property {HTMLElement} row
 * @property {import("../../types.js").Point} from
 * @property {number} pointer
 * @property {ReturnType<typeof landings> | null} landings where the row may go, once the drag has begun
 * @property {import("../../editor/landing.js").Landing | null} landing where it would go now
 */

const DRAG_FROM_PX = 5;
const EDGE_PX = 48;
/** So far to the right, a row is dragged into the group above. */
const INWARDS_PX = 24;
const SCROLL_PX = 10;

/**
 * Rows are dragged with mouse, pen or finger; a line between rows shows where the row will land. A finger drags a row by
 * its grip, since it scrolls elsewhere.
 */
export class Reordering {
  #list;
  /** @type {Drag | null} */
  #drag = null;
  #line = Object.assign(document.createElement("li"), { className: "landing" });

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
    this.#line.setAttribute("aria-hidden", "true");
    list.addEventListener("pointerdown", (event) => this.#down(event));
    list.addEventListener("pointermove", (event) => this.#move(event));
    list.addEventListener("pointerup", () => this.#end(true));
    list.addEventListener("pointercancel", () => this.#end(false));
    // Otherwise the browser drags words and pictures of a row; the button that downloads can be dragged out.
    list.addEventListener("dragstart", (event) => closest(event, "[data-take]") ?? event.preventDefault());
    list.addEventListener("keydown", (event) => event.key === "Escape" && this.#drag?.landings && this.#end(false));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const row = closest(event, "li");
    const isHeld = event.pointerType === "touch" ? closest(event, ".grip") : !closest(event, "input, .row-tools button, .row-tools a, [data-eye]");
    if (!row || !isHeld || event.button !== 0) return;
    this.#drag = { row, from: { x: event.clientX, y: event.clientY }, pointer: event.pointerId, landings: null, landing: null };
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const drag = this.#drag;
    if (!drag || event.pointerId !== drag.pointer) return;
    if (!drag.landings) {
      if (Math.hypot(event.clientX - drag.from.x, event.clientY - drag.from.y) < DRAG_FROM_PX) return;
      drag.landings = landings(layersNow(), folded.value, Number(drag.row.dataset.key));
      this.#list.setPointerCapture(event.pointerId);
      drag.row.classList.add("taken");
    }
    this.#scroll(event.clientY);
    this.#show(drag, drag.landings, event);
  }

  /**
   * Shows the line in the nearest place where the row may go.
   * @param {Drag} drag
   * @param {NonNullable<Drag["landings"]>} landings
   * @param {PointerEvent} event
   */
  #show(drag, landings, { clientX: x, clientY: y }) {
    const rows = this.#rows();
    const list = rows[0]?.parentElement;
    if (!list) return;
    const middles = rows.map((row) => row.getBoundingClientRect()).map(({ top, height }) => top + height / 2);
    const gap = middles.filter((middle) => middle < y).length;
    const around = pathTo(layersNow(), Number(drag.row.dataset.key)).slice(0, -1);
    drag.landing = meant(landings.get(gap) ?? [], around, x - drag.from.x > INWARDS_PX);
    if (!drag.landing) return this.#line.remove();
    const beside = rows[gap] ?? rows[gap - 1];
    const { top, bottom } = beside.getBoundingClientRect();
    const at = rows[gap] ? top : bottom;
    this.#line.style.top = `${at - list.getBoundingClientRect().top}px`;
    this.#line.dataset.depth = String(drag.landing.parent.length);
    list.append(this.#line);
  }

  #rows() {
    return /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll("li[data-key]")]);
  }

  /**
   * Scrolls what the list is in, near its ends.
   * @param {number} y
   */
  #scroll(y) {
    const panel = this.#list.closest(".panel");
    const scrolls = panel && panel.scrollHeight > panel.clientHeight ? panel : document.documentElement;
    const { top, bottom } = scrolls === panel ? panel.getBoundingClientRect() : { top: 0, bottom: innerHeight };
    if (y < top + EDGE_PX) scrolls.scrollBy(0, -SCROLL_PX);
    if (y > bottom - EDGE_PX) scrolls.scrollBy(0, SCROLL_PX);
  }

  /** @param {boolean} keep */
  #end(keep) {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag?.landings) return;
    this.#line.remove();
    drag.row.classList.remove("taken");
    if (keep && drag.landing) land(Number(drag.row.dataset.key), drag.landing);
  }
}
