// @ts-check
import { chosenEngine, isDiffusion } from "../../capabilities.js";
import { html, render } from "../../lib/html.js";
import { language, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View } from "../../lib/view.js";
import { capabilities, options } from "../../state.js";

/** @typedef {import("../../types.js").Options} OptionValues */

const NUMBERS = new Set(["seed", "steps", "guidance", "resolution"]);
const RESOLUTIONS = [640, 1024];
const SIZES = ["native", "model", "both"];
/** Used until the service has answered. */
const MOST_LAYERS = 10;
/** Numbers up to this have a button, larger ones are typed. */
const MOST_BUTTONS = 10;
const SCENE_TEXTS = ["keep", "lift"];
const MAX_SEED = Number.MAX_SAFE_INTEGER;

/**
 * The options of the next job. Writes each change to the `options` signal.
 *
 *     <un-options></un-options>
 */
class Options extends View {
  mount() {
    this.watch([language, capabilities], () => this.#draw());
    this.addEventListener("input", (event) => this.#take(/** @type {HTMLInputElement} */ (event.target)));
  }

  /** @param {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} input */
  #take(input) {
    if (!(input.name in options.value)) return;
    const name = /** @type {keyof OptionValues} */ (input.name);
    // Out of range: the browser marks the field, the last valid value stays.
    if (!input.checkValidity()) return;
    const text = input.value.trim();
    if (name === "loras") return this.#lora(input);
    if (name === "num_layers") return this.#count(input, text);
    if (NUMBERS.has(name)) return this.#set(name, text === "" ? null : Number(text));
    this.#set(name, input.value);
    if (name === "engine") this.#redrawKeepingFocus(input);
  }

  /**
   * The number of layers, from a button or from the field for larger ones: the other one shows nothing then.
   * @param {{ type: string }} input
   * @param {string} text
   */
  #count({ type }, text) {
    const isTyped = type === "number";
    const buttons = /** @type {NodeListOf<HTMLInputElement>} */ (this.querySelectorAll("[name=num_layers][type=radio]"));
    const field = /** @type {HTMLInputElement | null} */ (this.querySelector("[name=num_layers][type=number]"));
    // An empty field leaves it to the engine.
    const value = text === "" ? "auto" : text;
    for (const button of buttons) button.checked = button.value === value;
    if (!isTyped && field) field.value = "";
    this.#set("num_layers", value === "auto" ? "auto" : Number(value));
  }

  /**
   * A LoRA's strength; empty: it is not used.
   * @param {{ dataset: DOMStringMap, value: string }} input
   */
  #lora({ dataset, value }) {
    const { lora = "" } = dataset;
    const others = options.value.loras.filter((one) => one.name !== lora);
    options.value = { ...options.value, loras: value.trim() === "" ? others : [...others, { name: lora, strength: Number(value) }] };
  }

  /**
   * @param {keyof OptionValues} name
   * @param {string | number | null} value
   */
  #set(name, value) {
    options.value = { ...options.value, [name]: value };
  }

  /** @param {{ name: string, value: string }} input */
  #redrawKeepingFocus({ name, value }) {
    const { open } = this.find("details", HTMLDetailsElement);
    this.#draw();
    this.find("details", HTMLDetailsElement).open = open;
    this.find(`[name="${name}"][value="${CSS.escape(value)}"]`).focus();
  }

  #draw() {
    const engine = chosenEngine();
    render(this, html`
      <form novalidate>
        ${this.#layers()}
        ${this.#engines()}
        ${engine?.uses_prompt ? this.#prompt() : ""}
        <details>
          <summary>${icon("sliders")}${t("options.advanced")}</summary>
          <div class="advanced">
            ${this.#number("seed", { min: 0, max: MAX_SEED, step: 1, placeholder: t("options.random") })}
            ${isDiffusion(engine) ? this.#diffusion() : this.#sceneText()}
          </div>
        </details>
      </form>`);
    this.find("form").addEventListener("submit", (event) => event.preventDefault());
  }

  #layers() {
    const max = chosenEngine()?.max_layers ?? capabilities.value?.limits.max_layers ?? MOST_LAYERS;
    const counts = ["auto", ...Array.from({ length: Math.min(max, MOST_BUTTONS) }, (_, i) => i + 1)];
    const { num_layers: chosen } = options.value;
    return html`
      <fieldset class="field">
        <legend class="label">${t("options.layers")}</legend>
        <div class="choices layers">${counts.map((count) => html`
          <label><input type="radio" name="num_layers" value="${count}"
            ${String(chosen) === String(count) ? html`checked` : ""}>
          <span>${count === "auto" ? t("options.auto") : count}</span></label>`)}
        </div>
        ${max > MOST_BUTTONS ? html`<label class="more-layers">${t("options.moreLayers")}
          <input class="input" name="num_layers" type="number" inputmode="numeric" min="${MOST_BUTTONS + 1}" max="${max}" step="1"
            placeholder="${MOST_BUTTONS + 1}–${max}" value="${Number(chosen) > MOST_BUTTONS ? chosen : ""}"></label>` : ""}
        <p class="hint">${t("options.layersHint")}</p>
      </fieldset>`;
  }

  #engines() {
    if (!capabilities.value) return html`<p class="hint">${t("options.connecting")}</p>`;
    const { engines } = capabilities.value;
    if (engines.length === 0) return html`<p class="note">${icon("info")}<span>${t("options.noEngine")}</span></p>`;
    const only = engines.length === 1;
    /** @type {import("../../types.js").Engine[]} */
    const choices = only ? engines : [{ name: "auto" }, ...engines];
    const chosen = choices.some((one) => one.name === options.value.engine) ? options.value.engine : choices[0].name;
    return html`
      <fieldset class="field">
        <legend class="label">${t("options.engine")}</legend>
        <div class="engines">${choices.map((one) => html`
          <label class="engine">
            <input type="radio" name="engine" value="${one.name}" ${one.name === chosen ? html`checked` : ""}>
            <span><b>${tOr(`engine.${one.name}`, one.name)}</b>
            <span class="hint">${tOr(`engine.${one.name}.about`, one.model ?? "")}</span></span>
          </label>`)}
        </div>
      </fieldset>`;
  }

  #prompt() {
    return html`
      <div class="field">
        <label for="option-prompt">${t("options.prompt")}</label>
        <textarea class="input" id="option-prompt" name="prompt" maxlength="4000" aria-describedby="prompt-hint">${options.value.prompt}</textarea>
        <p class="hint" id="prompt-hint">${t("options.promptHint")}</p>
      </div>`;
  }

  /**
   * @param {"seed" | "steps" | "guidance"} name
   * @param {{ min: number, max: number, step: number, placeholder: string | number }} field
   */
  #number(name, { min, max, step, placeholder }) {
    return html`
      <div class="field">
        <label for="option-${name}">${t(`options.${name}`)}</label>
        <input class="input" id="option-${name}" name="${name}" type="number" inputmode="decimal" min="${min}" max="${max}"
          step="${step}" placeholder="${placeholder}" value="${options.value[name]}" aria-describedby="${name}-hint">
        <p class="hint" id="${name}-hint">${t(`options.${name}Hint`)}</p>
      </div>`;
  }

  #sceneText() {
    return html`
      <div class="field">
        <label for="option-scene_text">${t("options.sceneText")}</label>
        <select class="input" id="option-scene_text" name="scene_text" aria-describedby="scene_text-hint">
          ${SCENE_TEXTS.map((choice) => html`<option value="${choice}" ${options.value.scene_text === choice ? html`selected` : ""}>${t(`options.sceneText.${choice}`)}</option>`)}
        </select>
        <p class="hint" id="scene_text-hint">${t("options.sceneTextHint")}</p>
      </div>`;
  }

  /** Only where the engine has some. */
  #loras() {
    const loras = chosenEngine()?.loras ?? [];
    if (!loras.length) return "";
    return html`
      <fieldset class="field">
        <legend class="label">${t("options.loras")}</legend>
        ${loras.map(({ name, trained_for: model }) => html`<label class="more-layers" title="${model ?? ""}">${name}
          <input class="input" name="loras" data-lora="${name}" type="number" inputmode="decimal" min="-10" max="10" step="0.05"
            placeholder="${t("options.lorasOff")}" value="${options.value.loras.find((one) => one.name === name)?.strength ?? ""}"></label>`)}
        <p class="hint">${t("options.lorasHint")}</p>
      </fieldset>`;
  }

  #samplers() {
    const samplers = chosenEngine()?.samplers ?? [];
    if (!samplers.length) return "";
    return html`
      <div class="field">
        <label for="option-sampler">${t("options.sampler")}</label>
        <select class="input" id="option-sampler" name="sampler" aria-describedby="sampler-hint">
          ${samplers.map((name) => html`<option value="${name}" ${options.value.sampler === name ? html`selected` : ""}>${tOr(`options.sampler.${name}`, name)}</option>`)}
        </select>
        <p class="hint" id="sampler-hint">${t("options.samplerHint")}</p>
      </div>`;
  }

  #diffusion() {
    const defaults = capabilities.value?.defaults ?? {};
    return html`
      ${this.#loras()}
      ${this.#number("steps", { min: 1, max: 200, step: 1, placeholder: defaults.steps ?? 50 })}
      ${this.#samplers()}
      ${this.#number("guidance", { min: 1, max: 20, step: 0.1, placeholder: defaults.guidance ?? 4 })}
      <div class="field">
        <label for="option-resolution">${t("options.resolution")}</label>
        <select class="input" id="option-resolution" name="resolution" aria-describedby="resolution-hint">
          <option value="">${t("options.default")}</option>
          ${RESOLUTIONS.map((side) => html`<option value="${side}" ${options.value.resolution === side ? html`selected` : ""}>${side}</option>`)}
        </select>
        <p class="hint" id="resolution-hint">${t("options.resolutionHint")}</p>
      </div>
      <div class="field">
        <label for="option-output_size">${t("options.outputSize")}</label>
        <select class="input" id="option-output_size" name="output_size" aria-describedby="output_size-hint">
          ${SIZES.map((size) => html`<option value="${size}" ${options.value.output_size === size ? html`selected` : ""}>${t(`options.outputSize.${size}`)}</option>`)}
        </select>
        <p class="hint" id="output_size-hint">${t("options.outputSizeHint")}</p>
      </div>`;
  }
}

export function register() {
  customElements.define("un-options", Options);
}
