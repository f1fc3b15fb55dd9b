// @ts-check
import { closest } from "../../lib/view.js";

const CONTROLS = "button, a[href]";
/** @type {Record<string, [rows: number, controls: number]>} */
const STEPS = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], Home: [-Infinity, 0], End: [Infinity, 0] };

/** One tab stop for a whole list: arrows go from row to row and from button to button. */
export class Roving {
  #list;

  /** @param {HTMLElement} list holds rows, `li`, with buttons */
  constructor(list) {
    this.#list = list;
    list.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("focusin", (event) => this.#enter(closest(event, `li :is(${CONTROLS})`)));
  }

  /** Keeps one tab stop after rows have come or gone: the row that is selected, or the first. */
  sync() {
    const stop = this.#list.contains(document.activeElement) ? document.activeElement : null;
    const rows = this.#rows();
    const row = stop?.closest("li") ?? rows.find((one) => one.classList.contains("selected")) ?? rows[0];
    const control = stop?.closest("li") ? stop : row?.querySelector("[data-pick]");
    this.#enter(control instanceof HTMLElement ? control : null);
  }

  #rows() {
    return [...this.#list.querySelectorAll("li")];
  }

  /** @param {HTMLElement | null} stop the control that Tab leads to */
  #enter(stop) {
    if (!stop) return;
    for (const one of this.#list.querySelectorAll(`li :is(${CONTROLS})`)) one.setAttribute("tabindex", one === stop ? "0" : "-1");
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const control = closest(event, `li :is(${CONTROLS})`);
    const step = STEPS[event.key];
    if (!control || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const rows = this.#rows();
    const row = rows.findIndex((one) => one.contains(control));
    const at = controlsOf(rows[row]).indexOf(control);
    const next = rows[Math.min(rows.length - 1, Math.max(0, row + step[0]))];
    const controls = controlsOf(next);
    controls[Math.min(controls.length - 1, Math.max(0, at + step[1]))]?.focus();
  }
}

/**
 * @param {HTMLElement} row
 * @returns {HTMLElement[]}
 */
const controlsOf = (row) => [...row.querySelectorAll(CONTROLS)].flatMap((one) => (one instanceof HTMLElement && !one.closest("[hidden]") ? [one] : []));
