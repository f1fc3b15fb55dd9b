// @ts-check
import { duplicatePicked, groupPicked, pickAll, removePicked, ungroupPicked } from "../../editor/arrange.js";
import { picked, renaming, selected, tool } from "../../editor/display.js";
import { boxAt, layerOf, layersNow } from "../../editor/document.js";
import { isLocked, moveAll, shift } from "../../editor/edits.js";
import { redo, undo } from "../../editor/history.js";
import { mergePicked } from "../../editor/own-pictures.js";
import { actionOf } from "../../editor/shortcuts.js";
import { PIXEL_TOOLS, tools } from "../../editor/tooling.js";
import { groupOf, pathTo } from "../../editor/tree.js";
import { closest } from "../../lib/view.js";
import { typeOver } from "./typing.js";

const ZOOM = 1.25;
const PAN_PX = 60;
const FAR_PX = 10;
/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Where keys are letters, and Ctrl+Z takes one back. */
const FIELDS = "textarea, input:not([type=range], [type=checkbox], [type=radio], [type=color])";
/** What uses the arrow keys itself. */
const CONTROLS = "input, select, summary, [role=menu], un-layers";

/** The keys of the editor, wherever the focus is, but in fields and dialogs. */
export class Keys {
  #frame;
  #viewport;
  #gestures;
  #help;

  /**
   * @param {HTMLElement} frame
   * @param {import("./viewport.js").Viewport} viewport
   * @param {import("./gestures.js").Gestures} gestures
   * @param {() => void} help shows the sheet of all keys
   */
  constructor(frame, viewport, gestures, help) {
    this.#frame = frame;
    this.#viewport = viewport;
    this.#gestures = gestures;
    this.#help = help;
  }

  /** @param {KeyboardEvent} event */
  down(event) {
    // While a Korean syllable is composed, keys are parts of it.
    if (event.defaultPrevented || event.isComposing || closest(event, `${FIELDS}, dialog`)) return;
    // Letters go through the choices of a list.
    if (closest(event, "select") && !event.ctrlKey && !event.metaKey) return;
    const run = this.#run(event);
    if (!run) return;
    event.preventDefault();
    run();
  }

  /** @param {KeyboardEvent} event */
  up(event) {
    if (event.key !== " ") return;
    // Firefox presses a button when the key comes up.
    if (this.#frame.hasAttribute("data-hand") && this.#gestures.isOver) event.preventDefault();
    this.#gestures.hold(false);
  }

  /**
   * @param {KeyboardEvent} event
   * @returns {(() => void) | null}
   */
  #run(event) {
    const view = this.#viewport;
    const key = selected.value;
    switch (actionOf(event)) {
      case "move": return () => (tool.value = "move");
      case "hand": return () => (tool.value = "hand");
      case "pick": case "wand": case "lasso": case "brush": case "eraser": return this.#take(event);
      // Elsewhere, Space presses the button that has the focus or scrolls.
      case "pan": return this.#gestures.isOver || closest(event, ".frame") ? () => this.#gestures.hold(true) : null;
      case "fit": return () => view.fit();
      case "actual": return () => view.zoomTo(1);
      case "zoomIn": return () => view.zoomTo(view.scale * ZOOM);
      case "zoomOut": return () => view.zoomTo(view.scale / ZOOM);
      case "undo": return undo;
      case "redo": return redo;
      case "raise": return this.#brush(1) ?? (key === null ? null : () => shift(key, 1));
      case "lower": return this.#brush(-1) ?? (key === null ? null : () => shift(key, -1));
      case "remove": return tools.value?.isPicking() ? tools.value.removeLast : key === null ? null : removePicked;
      case "duplicate": return key === null ? null : () => duplicatePicked();
      case "copyHere": return key === null ? null : () => duplicatePicked(true);
      case "group": return key === null ? null : groupPicked;
      case "ungroup": return key === null ? null : ungroupPicked;
      case "merge": return key === null ? null : () => void mergePicked();
      case "all": return pickAll;
      case "rename": return this.#rename(event);
      case "deselect": return this.#escape(event);
      case "type": return this.#type(event);
      case "nudge": return closest(event, CONTROLS) ? null : () => this.#arrow(event);
      case "help": return this.#help;
      default: return null;
    }
  }

  /** @param {KeyboardEvent} event */
  #take(event) {
    const next = PIXEL_TOOLS.find((one) => one === actionOf(event));
    return next ? () => (tool.value = next) : null;
  }

  /**
   * Makes the brush thicker or thinner, if there is one.
   * @param {1 | -1} by
   */
  #brush(by) {
    const isBrush = tool.value === "brush" || tool.value === "eraser";
    return isBrush && tools.value ? () => tools.value?.resize(by) : null;
  }

  /** @param {KeyboardEvent} event */
  #rename(event) {
    const row = closest(event, "un-layers li");
    const key = row ? Number(row.dataset.key) : selected.value;
    return key === null ? null : () => (renaming.value = key);
  }

  /**
   * Ends a drag, or goes to the enclosing group of a layer that was split, or deselects.
   * @param {KeyboardEvent} event
   */
  #escape(event) {
    if (this.#gestures.isDragging) return () => this.#gestures.cancel();
    if (tools.value?.lasso.value) return () => tools.value && (tools.value.lasso.value = null);
    if (tools.value?.isPicking() && !closest(event, "[role=menu]")) return tools.value.drop;
    const key = selected.value;
    if (key === null || closest(event, "[role=menu]")) return null;
    const around = pathTo(layersNow(), key).slice(0, -1).filter((one) => !groupOf(layersNow(), one)?.code);
    return () => (selected.value = around.at(-1) ?? null);
  }

  /** @param {KeyboardEvent} event */
  #type(event) {
    if (tools.value?.lasso.value) return tools.value.closeLasso;
    if (tools.value?.selection.value && !closest(event, "button, select, summary, a, [role=menu]")) return tools.value.lift;
    const words = layerOf(selected.value);
    return words && closest(event, ".frame") ? () => void typeOver(words) : null;
  }

  /** @param {KeyboardEvent} event */
  #arrow({ key, shiftKey }) {
    const [dx, dy] = ARROWS[key];
    const chosen = selected.value;
    if (chosen === null) return this.#viewport.panBy(-dx * PAN_PX, -dy * PAN_PX);
    const free = picked.value.filter((one) => boxAt(one) !== null && !isLocked(one));
    const by = shiftKey ? FAR_PX : 1;
    if (free.length > 0) moveAll(free, dx * by, dy * by, `nudge ${free.join()}`);
  }
}
