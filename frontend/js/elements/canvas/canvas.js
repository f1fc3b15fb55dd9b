// @ts-check
import { arrived } from "../../editor/bitmaps.js";
import { Compositor } from "../../editor/compositor.js";
import { dragged, ground, guides, hovered, isShown, mode, picked, selected, solo, tool, typing } from "../../editor/display.js";
import { doc, shapeOf } from "../../editor/document.js";
import { layerTitle } from "../../editor/names.js";
import { isComplete } from "../../editor/pixels.js";
import { tools } from "../../editor/tooling.js";
import { urls } from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { language, number, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, closest, isFromKeyboard } from "../../lib/view.js";
import { job } from "../../state.js";
import { Menu } from "../menu/menu.js";
import { layerItems, viewItems } from "../menu/items.js";
import { showShortcuts } from "../shortcuts/shortcuts.js";
import { onClipboard } from "./clipboard.js";
import { fanOut } from "./fan.js";
import { Gestures } from "./gestures.js";
import { Handles } from "./handles.js";
import { Keys } from "./keys.js";
import { Typing, typedOver } from "./typing.js";
import { Viewport } from "./viewport.js";

const PIXELS_FROM = 3;

/**
 * The layers, composited at full size over a ground, with zoom and pan; the
 * input beside them when asked to compare.
 *
 *     <un-canvas></un-canvas>
 */
class Canvas extends View {
  #viewport = new Viewport((view) => this.#place(view));
  #size = "";
  /** @type {Typing | null} */
  #typing = null;
  /** @type {Handles | null} */
  #handles = null;
  /** @type {import("../../tools/overlay.js").Overlay | null} */
  #overlay = null;
  #observer = new ResizeObserver(() => this.#measure());

  mount() {
    render(this, html`
      <div class="frame" tabindex="0" role="group">
        <div class="stage">
          <canvas role="img"></canvas>
          <img class="original" alt="" draggable="false">
          <div class="outline over" aria-hidden="true" hidden></div>
          <div class="outline picked" aria-hidden="true" hidden></div>
          <div class="split" aria-hidden="true"></div>
          <input class="compare" type="range" min="0" max="100" step="0.5" value="50">
          <p class="side before chip" aria-hidden="true"></p><p class="side after chip" aria-hidden="true"></p>
        </div>
      </div>
      <div class="zoom" role="group">
        <button type="button" class="button quiet small square" data-zoom="out">${icon("minus")}</button>
        <button type="button" class="button quiet small level" data-zoom="one"></button>
        <button type="button" class="button quiet small square" data-zoom="in">${icon("plus")}</button>
        <button type="button" class="button quiet small square" data-zoom="fit">${icon("fit")}</button>
      </div>`);
    const compositor = new Compositor(this.find("canvas", HTMLCanvasElement));
    const frame = this.find(".frame");
    const gestures = new Gestures(frame, this.#viewport, compositor);
    const keys = new Keys(frame, this.#viewport, gestures, showShortcuts);
    this.listen(document, "keydown", (event) => keys.down(event));
    this.listen(document, "keyup", (event) => keys.up(event));
    for (const type of /** @type {const} */ (["cut", "copy", "paste"])) this.listen(document, type, onClipboard);
    frame.addEventListener("contextmenu", (event) => this.#menu(event, gestures));
    this.#handles = new Handles(this.find(".picked"), this.#viewport);
    this.#typing = new Typing(frame, this.find(".stage"), this.#viewport);
    this.#observer.observe(frame);
    this.addEventListener("click", (event) => this.#zoom(closest(event, "[data-zoom]")?.dataset.zoom));
    this.find(".compare").addEventListener("input", () => this.#split());
    this.watch([tools], () => this.#lay());
    this.watch([language], () => this.#words());
    this.watch([doc, solo, arrived, typing], () => {
      compositor.request();
      this.#describe();
    });
    this.watch([doc], () => {
      const size = doc.value ? `${doc.value.width} ${doc.value.height}` : "";
      if (size !== this.#size) this.#measure();
      this.#size = size;
    });
    this.watch([doc, selected, picked, hovered, dragged, arrived], () => this.#outlines());
    this.watch([guides], () => this.#guides());
    this.watch([tool, tools], () => gestures.showTool());
    this.watch(typedOver, () => this.#typing?.sync());
    this.watch([ground, mode], () => {
      const stage = this.find(".stage");
      stage.dataset.ground = ground.value;
      this.dataset.mode = mode.value;
      stage.classList.toggle("checker", ground.value === "checker");
      this.#loadOriginal();
      this.#describe();
    });
    this.#split();
  }

  unmount() {
    this.#observer.disconnect();
  }

  /** What the tools that work on pixels show, once they are there. */
  #lay() {
    if (!tools.value || this.#overlay) return;
    const { Overlay } = tools.value;
    const overlay = (this.#overlay = new Overlay(this.find(".stage"), this));
    overlay.zoom(this.#viewport.scale);
    this.watch(Overlay.shown, () => overlay.sync());
  }

  /** The input is loaded only for those who look at it. */
  #loadOriginal() {
    const image = this.find(".original", HTMLImageElement);
    if (mode.value !== "layers" && job.value?.uploadId && !image.src) image.src = urls.input(job.value.uploadId);
  }

  /**
   * The menu of what is under the pointer, or of the view.
   * @param {MouseEvent} event
   * @param {Gestures} gestures
   */
  #menu(event, gestures) {
    if (closest(event, "input, textarea")) return;
    event.preventDefault();
    gestures.cancel();
    const key = isFromKeyboard(event) ? selected.value : gestures.keyAt(event);
    if (key !== null) selected.value = key;
    Menu.open(key === null ? viewItems(this.#viewport) : layerItems(key), { x: event.clientX, y: event.clientY });
  }

  #words() {
    this.find(".frame").setAttribute("aria-label", t("canvas.frame"));
    this.find(".zoom").setAttribute("aria-label", t("canvas.zoom"));
    this.#overlay?.words();
    this.find(".compare").setAttribute("aria-label", t("canvas.split"));
    this.find(".original", HTMLImageElement).alt = t("canvas.input");
    this.find(".before").textContent = t("view.input");
    this.find(".after").textContent = t("view.layers");
    for (const how of ["in", "out", "one", "fit"]) {
      const button = this.find(`[data-zoom=${how}]`);
      button.title = t(`zoom.${how}`);
      if (how !== "one") button.setAttribute("aria-label", button.title);
    }
    this.#describe();
  }

  #describe() {
    if (!doc.value) return;
    const shown = doc.value.layers.filter(isShown);
    const canvas = this.find("canvas");
    canvas.setAttribute("aria-label", t("canvas.shows", { names: shown.map(layerTitle).join(", ") || t("canvas.nothing") }));
    const isWhole = isComplete();
    if (isWhole && !this.hasAttribute("data-complete") && job.value?.isNew) this.#fan();
    this.toggleAttribute("data-complete", isWhole);
  }

  /** Once for a result that was just made. */
  #fan() {
    if (job.value) job.value = { ...job.value, isNew: false };
    requestAnimationFrame(() => this.isConnected && mode.value === "layers" && fanOut(this.find(".stage")));
  }

  #measure() {
    if (!doc.value) return;
    const { clientWidth: width, clientHeight: height } = this.find(".frame");
    this.#viewport.resize({ width, height }, doc.value);
  }

  /** @param {Viewport} view */
  #place({ scale, x, y, overflows, content }) {
    const stage = this.find(".stage");
    Object.assign(stage.style, {
      width: `${content.width * scale}px`,
      height: `${content.height * scale}px`,
      transform: `translate(${x}px, ${y}px)`,
    });
    stage.classList.toggle("pixels", scale >= PIXELS_FROM);
    this.find(".frame").toggleAttribute("data-overflows", overflows);
    this.find(".level").textContent = number(scale, { style: "percent" });
    this.#outlines();
    this.#typing?.place();
    this.#overlay?.zoom(scale);
  }

  #outlines() {
    const isOverOther = hovered.value !== null && hovered.value !== selected.value && !dragged.value;
    this.#outline(this.find(".over"), isOverOther && hovered.value !== null ? [hovered.value] : [], { dx: 0, dy: 0 });
    this.#outline(this.find(".picked"), picked.value, dragged.value ?? { dx: 0, dy: 0 });
    this.#handles?.sync();
    this.#others(picked.value.length > 1 ? picked.value : []);
    this.find(".frame").toggleAttribute("data-selected", !this.find(".picked").hidden);
  }

  /** Shows what a drag was drawn to. */
  #guides() {
    const { scale } = this.#viewport;
    for (const line of this.querySelectorAll(".guide")) line.remove();
    for (const { axis, at, from, to } of guides.value) {
      const line = Object.assign(document.createElement("div"), { className: `guide ${axis}` });
      const [start, across, length] = axis === "x" ? ["left", "top", "height"] : ["top", "left", "width"];
      Object.assign(line.style, { [start]: `${at * scale}px`, [across]: `${from * scale}px`, [length]: `${(to - from) * scale}px` });
      this.find(".stage").append(line);
    }
  }

  /**
   * Lays an outline around each of several that are selected.
   * @param {number[]} keys
   */
  #others(keys) {
    const outlines = [...this.querySelectorAll(".outline.other")];
    for (const extra of outlines.slice(keys.length)) extra.remove();
    keys.forEach((key, at) => {
      const outline = outlines[at] ?? Object.assign(document.createElement("div"), { className: "outline other" });
      outline.setAttribute("aria-hidden", "true");
      this.find(".picked").after(outline);
      this.#outline(/** @type {HTMLElement} */ (outline), [key], { dx: 0, dy: 0 });
    });
  }

  /**
   * Lays an outline around layers and groups.
   * @param {HTMLElement} outline
   * @param {number[]} keys
   * @param {{ dx: number, dy: number }} by how far from its place
   */
  #outline(outline, keys, { dx, dy }) {
    const shape = shapeOf(keys);
    outline.hidden = !shape;
    if (!shape) return;
    const { box, turn } = shape;
    const { scale } = this.#viewport;
    Object.assign(outline.style, {
      left: `${(box.x + dx) * scale}px`,
      top: `${(box.y + dy) * scale}px`,
      width: `${box.width * scale}px`,
      height: `${box.height * scale}px`,
      transform: turn === 0 ? "" : `rotate(${turn}deg)`,
    });
  }

  #split() {
    const slider = this.find(".compare", HTMLInputElement);
    const share = Number(slider.value);
    this.find(".stage").style.setProperty("--split", String(share / 100));
    slider.setAttribute("aria-valuetext", t("canvas.splitAt", { share: Math.round(share) }));
  }

  /** @param {string | undefined} how */
  #zoom(how) {
    const { scale } = this.#viewport;
    if (how === "in") this.#viewport.zoomTo(scale * 1.4);
    if (how === "out") this.#viewport.zoomTo(scale / 1.4);
    if (how === "one") this.#viewport.zoomTo(1);
    if (how === "fit") this.#viewport.fit();
  }
}

export function register() {
  customElements.define("un-canvas", Canvas);
}
