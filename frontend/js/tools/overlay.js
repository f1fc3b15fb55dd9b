// @ts-check
import { mode, selected, tool } from "../editor/display.js";
import { doc } from "../editor/document.js";
import { shortTitle } from "../editor/names.js";
import { html, render } from "../lib/html.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { closest, within } from "../lib/view.js";
import { SIZES, brushAt, hardness, paintOn, size, unsent } from "./brush.js";
import { lasso } from "./lasso.js";
import { outlineOf } from "./mask.js";
import { addToChosen, drop, excludes, isPicking, lift, prompts, selection, target, waiting } from "./picking.js";
import { isContiguous, tolerance } from "./wand.js";

/** What a slider of the bar changes, in which tools. */
const SLIDERS = [
  { name: "tolerance", value: tolerance, least: 0, most: 255, tools: ["wand"] },
  { name: "size", value: size, least: SIZES.least, most: SIZES.most, tools: ["brush", "eraser"] },
  { name: "hardness", value: hardness, least: 0, most: 100, tools: ["brush", "eraser"] },
];

/** What the tools show that work on pixels: marching ants, points, lines, strokes, and a bar with what can be done. */
export class Overlay {
  /** @type {SVGElement} */
  #svg;
  /** @type {HTMLElement} */
  #bar;
  /** @type {unknown} the selection whose outline is drawn */
  #drawn = null;
  /** Pixels of the screen for each of the document. */
  #scale = 1;

  /** What it shows changes with these. */
  static shown = [selection, prompts, waiting, excludes, tool, mode, doc, selected, lasso, brushAt, size, hardness, unsent, tolerance, isContiguous];

  /**
   * @param {HTMLElement} stage as large as the document's canvas
   * @param {HTMLElement} around
   */
  constructor(stage, around) {
    const holder = document.createElement("div");
    render(holder, html`
      <canvas class="strokes" width="1" height="1" aria-hidden="true"></canvas>
      <svg class="ants" preserveAspectRatio="none" aria-hidden="true"><path/><path class="march"/><g></g></svg>
      <div class="pickbar" role="group" hidden></div>`);
    const [paper, svg, bar] = holder.children;
    [this.#svg, this.#bar] = [/** @type {SVGElement} */ (svg), /** @type {HTMLElement} */ (bar)];
    stage.querySelector(".split")?.before(paper, svg);
    around.append(bar);
    paintOn(/** @type {HTMLCanvasElement} */ (paper));
    this.#bar.addEventListener("click", (event) => this.#act(closest(event, "[data-pick]")?.dataset.pick));
    this.#bar.addEventListener("input", ({ target }) => this.#slide(/** @type {HTMLInputElement} */ (target)));
    this.words();
  }

  /** @param {string | undefined} act */
  #act(act) {
    if (act === "lift") void lift();
    if (act === "add") void addToChosen();
    if (act === "drop") [drop(), (lasso.value = null)];
    if (act === "include" || act === "exclude") excludes.value = act === "exclude";
  }

  /** @param {HTMLInputElement} input */
  #slide({ name, value, checked }) {
    const slider = SLIDERS.find((one) => one.name === name);
    if (slider) slider.value.value = Number(value);
    if (name === "contiguous") isContiguous.value = checked;
  }

  words() {
    this.#bar.setAttribute("aria-label", t("tools.bar"));
    render(this.#bar, html`
      <p class="hint" role="status"></p>
      <div class="signs" role="group" aria-label="${t("pick.signs")}" data-for="pick">
        <button type="button" class="button quiet small square" data-pick="include" aria-label="${t("pick.include")}" title="${t("pick.include")}">${icon("plus")}</button>
        <button type="button" class="button quiet small square" data-pick="exclude" aria-label="${t("pick.exclude")}" title="${t("pick.exclude")}">${icon("minus")}</button>
      </div>
      ${SLIDERS.map(({ name, least, most, tools }) => html`
        <label class="hint" data-for="${tools.join(" ")}"><span>${t(`brush.${name}`)}</span><input type="range" name="${name}" min="${least}" max="${most}"></label>`)}
      <label class="hint" data-for="wand"><input type="checkbox" name="contiguous">${t("brush.contiguous")}</label>
      <button type="button" class="button primary small" data-pick="lift" data-for="pick wand lasso">${t("pick.lift")}</button>
      <button type="button" class="button small" data-pick="add" data-for="pick wand lasso"></button>
      <button type="button" class="button quiet small square" data-pick="drop" data-for="pick wand lasso" aria-label="${t("pick.drop")}" title="${t("pick.drop")}">${icon("close")}</button>`);
    this.sync();
  }

  /** @param {number} scale pixels of the screen for each of the document */
  zoom(scale) {
    this.#scale = scale;
    this.sync();
  }

  sync() {
    const { width = 1, height = 1 } = doc.value ?? {};
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    if (selection.value !== this.#drawn) {
      this.#drawn = selection.value;
      const path = selection.value ? outlineOf(selection.value.mask) : "";
      for (const line of this.#svg.querySelectorAll(":scope > path")) line.setAttribute("d", path);
    }
    this.#marks();
    this.#barFor(tool.value);
  }

  /** Points, boxes, the line that is drawn and the brush. */
  #marks() {
    const group = /** @type {SVGElement} */ (this.#svg.querySelector("g"));
    group.style.setProperty("--pixel", String(1 / this.#scale));
    const dots = prompts.value.points.map(({ x, y, include }) => html`<circle class="${include ? "in" : "out"}" cx="${x}" cy="${y}"/>`);
    const boxes = prompts.value.boxes.map(({ x, y, width, height }) => html`<rect x="${x}" y="${y}" width="${width}" height="${height}"/>`);
    const line = lasso.value ? [...lasso.value.points, ...(lasso.value.next ? [lasso.value.next] : [])] : [];
    const drawn = line.length > 0 ? html`<polyline points="${line.map(({ x, y }) => `${x},${y}`).join(" ")}"/>` : "";
    const isBrush = tool.value === "brush" || tool.value === "eraser";
    const ring = isBrush && brushAt.value ? html`<circle class="ring" cx="${brushAt.value.x}" cy="${brushAt.value.y}" r="${size.value / 2}"/>` : "";
    // Markup in a template is HTML, and these are SVG.
    const holder = document.createElement("div");
    render(holder, html`<svg>${boxes}${dots}${drawn}${ring}</svg>`);
    group.replaceChildren(...(holder.firstElementChild?.children ?? []));
  }

  /** @param {typeof tool.value} one */
  #barFor(one) {
    const isMoving = one === "move" || one === "hand";
    this.#bar.hidden = mode.value !== "layers" || (isMoving && waiting.value === "idle");
    this.#bar.dataset.waiting = waiting.value === "idle" && unsent.value > 0 ? "painting" : waiting.value;
    const words = this.#bar.dataset.waiting !== "idle" ? t(`pick.${this.#bar.dataset.waiting}`) : selection.value || isMoving ? "" : t(`hint.${one}`);
    const status = within(this.#bar, "p");
    if (status.textContent !== words) status.textContent = words;
    for (const part of this.#bar.querySelectorAll("[data-for]")) {
      const html = /** @type {HTMLElement} */ (part);
      html.hidden = !html.dataset.for?.split(" ").includes(one);
    }
    for (const { name, value } of SLIDERS) within(this.#bar, `[name=${name}]`, HTMLInputElement).value = String(value.value);
    within(this.#bar, "[name=contiguous]", HTMLInputElement).checked = isContiguous.value;
    within(this.#bar, "[data-pick=lift]", HTMLButtonElement).disabled = !selection.value || waiting.value !== "idle";
    const add = within(this.#bar, "[data-pick=add]", HTMLButtonElement);
    const layer = target();
    add.hidden ||= !layer || !selection.value;
    add.disabled = waiting.value !== "idle";
    if (layer) add.textContent = t("pick.add", { name: shortTitle(layer) });
    within(this.#bar, "[data-pick=drop]", HTMLButtonElement).disabled = !isPicking() && !lasso.value;
    for (const act of ["include", "exclude"]) {
      within(this.#bar, `[data-pick=${act}]`).setAttribute("aria-pressed", String(excludes.value === (act === "exclude")));
    }
  }
}
