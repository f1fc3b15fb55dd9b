// @ts-check
import { doc, layersNow } from "../../editor/document.js";
import { known } from "../../editor/outbox.js";
import { FORMATS, copyPicture, dpi, format, namesFiles, pixelWords, save, scale, shapeMode, textMode, trims, view } from "../../editor/save.js";
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, delegate } from "../../lib/view.js";
import { job } from "../../state.js";

/** @type {(typeof view.value)[]} */
const VIEWS = ["seen", "original"];
/** @type {(typeof textMode.value)[]} */
const TEXT_MODES = ["both", "live", "pixels"];
/** @type {(typeof shapeMode.value)[]} */
const SHAPE_MODES = ["native", "pixels"];

/** @type {(typeof scale.value)[]} */
const SCALES = [1, 2];
/** So many layers are named in a sentence. */
const NAMED = 4;

/** What takes longer says so. */
const SLOW_MS = 1000;

/**
 * Everything that leaves: as it is seen or as it was made, in which format, and how words and shapes are written. The
 * large button exports in the format that was used last.
 *
 *     <un-export></un-export>
 */
class Export extends View {
  mount() {
    this.addEventListener("change", (event) => this.#choose(/** @type {HTMLInputElement} */ (event.target)));
    delegate(this, "click", "[data-save]", (_, button) => void this.#save(/** @type {HTMLButtonElement} */ (button)));
    delegate(this, "click", "[data-copy]", (_, button) => void this.#run(/** @type {HTMLButtonElement} */ (button), copyPicture));
    this.watch([language], () => this.#draw());
    this.watch([format], () => this.#words());
    this.watch([language, known, textMode, doc], () => this.#pixelWords());
  }

  #draw() {
    render(this, html`
      <section class="take" aria-label="${t("take.title")}">
        <fieldset><legend class="visually-hidden">${t("take.what")}</legend>
          <div class="choices">${VIEWS.map((one) => html`
            <label><input type="radio" name="view" value="${one}" ${one === view.value ? html`checked` : ""}><span>${t(`take.${one}`)}</span></label>`)}</div></fieldset>
        <button type="button" class="button primary" data-save="">${icon("download")}<span></span></button>
        <div class="formats" role="group" aria-label="${t("take.format")}">${FORMATS.map(([one, word]) => html`
          <button type="button" class="button small" data-save="${one}" title="${t(`take.${one}`)}">${word}</button>`)}</div>
        <details><summary>${t("take.more")}</summary>
          <label class="text-mode" title="${t("take.textHint")}"><span>${t("take.text")}</span>
            <select class="input" name="text-mode">${TEXT_MODES.map((one) => html`
              <option value="${one}" ${one === textMode.value ? html`selected` : ""}>${t(`take.text.${one}`)}</option>`)}</select></label>
          <label class="text-mode" title="${t("take.shapesHint")}"><span>${t("take.shapes")}</span>
            <select class="input" name="shape-mode">${SHAPE_MODES.map((one) => html`
              <option value="${one}" ${one === shapeMode.value ? html`selected` : ""}>${t(`take.shapes.${one}`)}</option>`)}</select></label>
          <label class="text-mode"><span>${t("take.scale")}</span>
            <select class="input" name="scale">${SCALES.map((one) => html`
              <option value="${one}" ${one === scale.value ? html`selected` : ""}>${t(`take.scale.${one}`)}</option>`)}</select></label>
          <label class="text-mode"><span>${t("take.dpi")}</span>
            <input class="input" name="dpi" type="number" min="1" max="30000" step="1" placeholder="${t("take.dpiNone")}" value="${dpi.value ?? ""}"></label>
          <label class="check"><input type="checkbox" name="trim" ${trims.value ? html`checked` : ""}> ${t("take.trim")}</label>
          <label class="check"><input type="checkbox" name="names" ${namesFiles.value ? html`checked` : ""}> ${t("take.names")}</label>
        </details>
        <p class="hint pixel-words" hidden></p>
        <button type="button" class="button quiet small" data-copy>${icon("copy")}${t("take.copy")}</button>
      </section>`);
    this.#words();
  }

  #words() {
    const word = FORMATS.find(([one]) => one === format.value)?.[1] ?? "";
    this.find(".primary span:last-child").textContent = t("take.export", { format: word });
  }

  /** Says which words stay pixels in spite of the choice. */
  #pixelWords() {
    const names = textMode.value === "pixels" || !doc.value ? [] : pixelWords();
    const hint = this.querySelector(".pixel-words");
    if (!(hint instanceof HTMLElement)) return;
    hint.hidden = names.length === 0;
    const [some, more] = [names.slice(0, NAMED), names.length - NAMED];
    const listed = some.map((name) => `“${name}”`).join(", ");
    hint.textContent = t(more > 0 ? "take.pixelWords.more" : "take.pixelWords", { names: listed, count: more });
  }

  /** @param {HTMLInputElement} input */
  #choose(input) {
    const { name, value, checked } = input;
    if (name === "dpi" && input.checkValidity()) dpi.value = value === "" ? null : Number(value);
    if (name === "view") view.value = VIEWS.find((one) => one === value) ?? view.value;
    if (name === "text-mode") textMode.value = TEXT_MODES.find((one) => one === value) ?? textMode.value;
    if (name === "shape-mode") shapeMode.value = SHAPE_MODES.find((one) => one === value) ?? shapeMode.value;
    if (name === "trim") trims.value = checked;
    if (name === "names") namesFiles.value = checked;
    if (name === "scale") scale.value = SCALES.find((one) => String(one) === value) ?? 1;
  }

  /** @param {HTMLButtonElement} button whose `data-save` is the format, if it is not the one that was used last */
  async #save(button) {
    const chosen = button.dataset.save || format.value;
    format.value = chosen;
    await this.#run(button, (isSlow) => save(chosen, job.value?.name ?? "", isSlow));
  }

  /**
   * Does what takes time, and shows that in the button.
   * @param {HTMLButtonElement} button
   * @param {(isSlow: () => boolean) => Promise<void>} work
   */
  async #run(button, work) {
    if (layersNow().length === 0) return;
    const started = Date.now();
    button.disabled = true;
    const timer = setTimeout(() => button.setAttribute("aria-busy", "true"), SLOW_MS / 4);
    await work(() => Date.now() - started > SLOW_MS);
    clearTimeout(timer);
    button.removeAttribute("aria-busy");
    button.disabled = false;
  }
}

export function register() {
  customElements.define("un-export", Export);
}
