import { doc, editLayer, endEdit, layerOf, selected, shift } from "../../editor/document.js";
import { splitLayer, splitting, stopSplitting } from "../../editor/split.js";
import { html, render } from "../../lib/html.js";
import { language, number, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View } from "../../lib/view.js";

/** What sliders and number fields change: `[field, smallest, largest, unit]`, in hundredths where the unit is %. */
const SLIDERS = [["opacity", 0, 100, "%"]];
const COLOURS = [["hue", -180, 180, "°"], ["saturation", 0, 200, "%"], ["lightness", 40, 160, "%"]];
const SCALE = ["scale", 5, 400, "%"];
const UNITS = Object.fromEntries([...SLIDERS, ...COLOURS, SCALE].map(([field, , , unit]) => [field, unit]));

/**
 * What can be changed of the selected layer: name, opacity, place, size,
 * order, colours, lock.
 *
 *     <un-inspector></un-inspector>
 */
class Inspector extends View {
  mount() {
    this.watch([selected, language], () => this.#draw());
    this.watch([doc, splitting], () => this.#sync());
    this.addEventListener("input", (event) => this.#take(event.target));
    this.addEventListener("change", () => endEdit());
    this.addEventListener("click", (event) => {
      const action = event.target.closest("[data-action]")?.dataset.action;
      if (action === "up") shift(selected.value, 1);
      if (action === "down") shift(selected.value, -1);
      if (action === "split") splitLayer(selected.value);
      if (action === "stop") stopSplitting(selected.value);
      if (action === "lock") editLayer(selected.value, { locked: !layerOf(selected.value).locked });
    });
  }

  #draw() {
    const layer = layerOf(selected.value);
    if (!layer) return render(this, html`<p class="hint empty">${t("inspector.none")}</p>`);
    const [, least, most] = SCALE;
    render(this, html`
      <section aria-label="${t("inspector.title", { name: layer.name })}">
        <div class="inspector-row">
          <input class="input name" name="name" type="text" maxlength="200" aria-label="${t("inspector.name")}">
          ${this.#button("lock", "lock")}${this.#button("up", "up")}${this.#button("down", "down")}
        </div>
        <div class="inspector-row places">
          <label>X <input class="input" name="x" type="number" step="1" aria-label="${t("inspector.x")}"></label>
          <label>Y <input class="input" name="y" type="number" step="1" aria-label="${t("inspector.y")}"></label>
          <label>% <input class="input" name="scale" type="number" min="${least}" max="${most}" step="1" aria-label="${t("inspector.scale")}"></label>
        </div>
        ${SLIDERS.map((one) => this.#slider(one))}
        <details><summary>${t("inspector.colours")}</summary>${COLOURS.map((one) => this.#slider(one))}</details>
        <div class="inspector-row">
          <button type="button" class="button small" data-action="split" title="${t("split.hint")}">${icon("layers")}${t("split.start")}</button>
          <progress max="100" aria-label="${t("split.running", { name: layer.name })}" hidden></progress>
          <button type="button" class="button quiet small" data-action="stop" hidden>${t("progress.cancel")}</button>
        </div>
      </section>`);
    this.#sync();
  }

  #button(action, picture) {
    const name = t(`inspector.${action}`);
    return html`<button type="button" class="button quiet small square" data-action="${action}" aria-label="${name}" title="${name}">${icon(picture)}</button>`;
  }

  #slider([field, least, most]) {
    return html`
      <div class="inspector-row">
        <label for="layer-${field}">${t(`inspector.${field}`)}</label>
        <input id="layer-${field}" name="${field}" type="range" min="${least}" max="${most}" step="1">
        <output for="layer-${field}"></output>
      </div>`;
  }

  #take(input) {
    const { name: field, value } = input;
    if (!field || !input.checkValidity()) return;
    let next = Number(value);
    if (field === "name") next = value.trim() || layerOf(selected.value).info.name;
    else if (!Number.isFinite(next) || (field === "scale" && value === "")) return;
    else if (UNITS[field] === "%") next /= 100;
    editLayer(selected.value, { [field]: next }, `${field} ${selected.value}`);
  }

  #sync() {
    const layer = layerOf(selected.value);
    if (!layer || !this.find("section")) return;
    for (const input of this.querySelectorAll("input")) {
      const value = layer[input.name];
      const shown = input.name === "name" ? value : Math.round(UNITS[input.name] === "%" ? value * 100 : value);
      // What is being typed stays as typed: "-" on the way to "-5".
      if (input.type === "range" || input !== document.activeElement) input.value = shown;
      const output = input.parentElement.querySelector("output");
      if (output) output.textContent = `${number(shown)}${UNITS[input.name] === "%" ? " %" : "°"}`;
    }
    const at = doc.value.layers.indexOf(layer);
    this.find('[data-action="up"]').disabled = at === doc.value.layers.length - 1;
    this.find('[data-action="down"]').disabled = at === 0;
    const running = splitting.value[selected.value];
    const bar = this.find("progress");
    this.find('[data-action="split"]').disabled = running !== undefined || layer.info.bounding_box === null;
    this.find('[data-action="stop"]').hidden = !running?.job;
    bar.hidden = !running;
    bar.value = running?.percent ?? 0;
    this.find('[data-action="lock"]').setAttribute("aria-pressed", layer.locked);
  }
}

export function register() {
  customElements.define("un-inspector", Inspector);
}
