// @ts-check
import { removeJob, runAgain } from "../../current-job.js";
import { ground, mode, tool } from "../../editor/display.js";
import { doc, layersNow } from "../../editor/document.js";
import { history, redo, reset, undo } from "../../editor/history.js";
import { closeDocument, openDocument } from "../../editor/open.js";
import { saving } from "../../editor/outbox.js";
import { allWords } from "../../editor/retype.js";
import { keysFor } from "../../editor/shortcuts.js";
import { PIXEL_TOOLS } from "../../editor/tooling.js";
import { wordsIn } from "../../editor/words.js";
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, closest, delegate } from "../../lib/view.js";
import { delivered, job } from "../../state.js";
import { register as registerAnalysis } from "../analysis/analysis.js";
import { register as registerCanvas } from "../canvas/canvas.js";
import { register as registerDetails } from "../details/details.js";
import { register as registerExport } from "../export/export.js";
import { register as registerInspector } from "../inspector/inspector.js";
import { register as registerLayers } from "../layers/layers.js";
import { GROUNDS, copyWords, moreItems } from "../menu/items.js";
import { Menu } from "../menu/menu.js";
import { register as registerReplace } from "../replace/replace.js";
import { showShortcuts } from "../shortcuts/shortcuts.js";
import { register as registerType } from "../type/type.js";
import { register as registerVersions } from "../versions/versions.js";

/** @type {(typeof mode.value)[]} */
const MODES = ["layers", "compare", "input"];
/** @type {(typeof tool.value)[]} */
const TOOLS = ["move", "hand", ...PIXEL_TOOLS];
/** @type {Record<typeof tool.value, string>} */
const ICONS = { move: "arrow", hand: "hand", pick: "target", wand: "wand", lasso: "lasso", brush: "brush", eraser: "eraser" };

/**
 * A finished job: the canvas, its layers, downloads, how it was made.
 *
 *     <un-result></un-result>
 */
class Result extends View {
  mount() {
    if (delivered.value) openDocument(delivered.value);
    this.addEventListener("change", (event) => this.#choose(/** @type {HTMLInputElement} */ (event.target)));
    this.addEventListener("click", (event) => this.#act(closest(event, "[data-action]")?.dataset.action));
    delegate(this, "click", "[data-tool]", (_, button) => (tool.value = TOOLS.find((one) => one === button.dataset.tool) ?? "move"));
    this.watch([language], () => this.#draw());
    this.watch([history, tool, ground, saving], () => this.#sync());
    this.watch([doc], () => {
      this.#words();
      // What stands below the list is shown when the list is there, and so moves nowhere.
      this.toggleAttribute("data-ready", doc.value !== null);
    });
  }

  unmount() {
    closeDocument();
  }

  #draw() {
    const { name } = job.value ?? { name: "" };
    render(this, html`
      <h1 class="visually-hidden">${t("result.title", { name })}</h1>
      <div class="tools" role="toolbar" aria-label="${t("tools.title")}">
        ${this.#choices("mode", MODES, mode.value, "view")}
        <div class="hands" role="group" aria-label="${t("tools.pointer")}">${TOOLS.map((one) => html`
          <button type="button" class="button quiet square" data-tool="${one}" aria-label="${t(`tools.${one}`)}"
            title="${t(`tools.${one}`)} (${keysFor(one)})">${icon(ICONS[one])}</button>`)}</div>
        ${this.#choices("ground", GROUNDS, ground.value, "ground")}
        <div class="undo">
          <button type="button" class="button quiet square" data-action="undo" aria-label="${t("tools.undo")}" title="${t("tools.undo")}">${icon("undo")}</button>
          <button type="button" class="button quiet square" data-action="redo" aria-label="${t("tools.redo")}" title="${t("tools.redo")}">${icon("redo")}</button>
          <span class="saving hint" role="status"></span>
          <button type="button" class="button quiet small" data-action="reset">${t("tools.reset")}</button>
          <button type="button" class="button quiet square" data-action="shortcuts" aria-label="${t("shortcuts.title")}" title="${t("shortcuts.title")} (?)">${icon("keyboard")}</button>
          <button type="button" class="button quiet square" data-action="menu" aria-haspopup="menu" aria-label="${t("tools.more")}" title="${t("tools.more")}">${icon("more")}</button>
        </div>
      </div>
      <un-canvas></un-canvas>
      <aside class="panel" aria-label="${t("panel.title")}">
        <p class="file" title="${name}">${name}</p>
        <un-layers></un-layers>
        <div class="chosen"><un-inspector></un-inspector><un-type></un-type></div>
        <div class="words-row" hidden>
          <button type="button" class="button quiet small" data-action="copy">${t("words.copy")}</button>
          <button type="button" class="button quiet small" data-action="replace">${t("words.replace")}</button>
        </div>
        <un-export></un-export>
        <un-analysis></un-analysis>
        <un-versions></un-versions>
        <un-details></un-details>
        <section class="more">
          <button type="button" class="button small" data-action="options">${icon("sliders")}${t("result.options")}</button>
          <button type="button" class="button quiet small" data-action="delete">${t("result.delete")}</button>
        </section>
      </aside>
      <dialog aria-labelledby="again-title"></dialog>`);
    this.#sync();
    this.#words();
  }

  /** Only a poster with words has something to copy. */
  #words() {
    this.find(".words-row").hidden = !layersNow().some((layer) => wordsIn(layer));
  }

  /**
   * @param {"mode" | "ground"} name
   * @param {string[]} values
   * @param {string} chosen
   * @param {string} words what the keys of their words begin with
   */
  #choices(name, values, chosen, words) {
    return html`
      <fieldset><legend class="visually-hidden">${t(`${words}.title`)}</legend>
      <div class="choices ${name}">${values.map((value) => html`
        <label title="${t(`${words}.${value}`)}"><input type="radio" name="${name}" value="${value}" ${value === chosen ? html`checked` : ""}>
        ${name === "ground"
          ? html`<span><span class="swatch ${value}"></span><span class="visually-hidden">${t(`${words}.${value}`)}</span></span>`
          : html`<span>${t(`${words}.${value}`)}</span>`}</label>`)}
      </div></fieldset>`;
  }

  /** @param {HTMLInputElement} input */
  #choose({ name, value }) {
    if (name === "mode") mode.value = MODES.find((one) => one === value) ?? mode.value;
    if (name === "ground") ground.value = GROUNDS.find((one) => one === value) ?? ground.value;
  }

  #sync() {
    this.find("[data-action=undo]", HTMLButtonElement).disabled = !history.value.undo;
    this.find("[data-action=redo]", HTMLButtonElement).disabled = !history.value.redo;
    this.find("[data-action=reset]").hidden = !history.value.undo;
    this.dataset.saving = saving.value;
    this.find(".saving").textContent = saving.value === "waiting" ? t("tools.waiting") : "";
    for (const one of TOOLS) this.find(`[data-tool=${one}]`).setAttribute("aria-pressed", String(tool.value === one));
    this.find(`[name=ground][value=${ground.value}]`, HTMLInputElement).checked = true;
  }

  /** @param {string | undefined} action */
  #act(action) {
    if (action === "undo") undo();
    if (action === "redo") redo();
    if (action === "reset") void reset();
    if (action === "copy") copyWords(allWords());
    if (action === "shortcuts") showShortcuts();
    if (action === "menu") this.#more();
    if (action === "replace") this.#dialog(t("words.replace"), html`<un-replace></un-replace>`, "");
    if (action === "options") this.#askOptions();
    if (action === "delete") this.#askDelete();
    if (action === "close" || action === "again") this.find("dialog", HTMLDialogElement).close();
    if (action === "again") runAgain();
    if (action === "really-delete" && job.value) removeJob(job.value.id);
  }

  /** The menu of what a narrow toolbar has no place for. */
  #more() {
    const { right, bottom } = this.find("[data-action=menu]").getBoundingClientRect();
    Menu.open(moreItems(), { x: right, y: bottom });
  }

  /**
   * @param {string} title
   * @param {import("../../lib/html.js").Content} body
   * @param {import("../../lib/html.js").Content} foot
   */
  #dialog(title, body, foot) {
    const dialog = this.find("dialog", HTMLDialogElement);
    render(dialog, html`
      <div class="dialog-head"><h2 id="again-title">${title}</h2>
        <button type="button" class="button quiet square" data-action="close" aria-label="${t("dialog.close")}">${icon("close")}</button></div>
      ${body}
      <div class="dialog-foot"><button type="button" class="button quiet" data-action="close">${t("dialog.cancel")}</button>${foot}</div>`);
    dialog.showModal();
  }

  #askOptions() {
    this.#dialog(t("result.options"), html`<un-options></un-options>`,
      html`<button type="button" class="button primary" data-action="again">${t("result.again")}</button>`);
  }

  #askDelete() {
    this.#dialog(t("delete.title"), html`<p>${t("delete.body")}</p>`,
      html`<button type="button" class="button primary" data-action="really-delete">${t("delete.yes")}</button>`);
  }
}

/** Once. */
export function register() {
  if (customElements.get("un-result")) return;
  registerAnalysis();
  registerCanvas();
  registerDetails();
  registerExport();
  registerInspector();
  registerLayers();
  registerReplace();
  registerType();
  registerVersions();
  customElements.define("un-result", Result);
}
