import { doc, dragged, editLayer, endEdit, layerOf, moveBy, nameOf, rename, scaleTo, selected, shift } from "../../editor/document.js";
import { membersOf, pathTo, siblings } from "../../editor/tree.js";
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
 * What can be changed of the selected layer or group: name, opacity, place,
 * size, order, colours, lock.
 *
 *     <un-inspector></un-inspector>
 */
class Inspector extends View {
  #key = null;
  #isGroup = false;

  mount() {
    this.watch([selected, language], () => this.#draw());
    this.watch([doc, dragged, splitting], () => this.#sync());
    this.addEventListener("input", (event) => this.#take(event.target));
    this.addEventListener("change", () => endEdit());
    this.addEventListener("click", (event) => {
      const action = event.target.closest("[data-action]")?.dataset.action;
      if (action === "up") shift(selected.value, 1);
      if (action === "down") shift(selected.value, -1);
      if (action === "split") splitLayer(selected.value);
      if (action === "stop") stopSplitting(selected.value);
      if (action === "lock") editLayer(selected.value, { locked: !this.#members().every((layer) => layer.locked) });
    });
  }

  #members() {
    return doc.value && selected.value !== null ? membersOf(doc.value.layers, selected.value) : [];
  }

  #draw() {
    this.#key = selected.value;
    if (this.#members().length === 0) return render(this, html`<p class="hint empty">${t("inspector.none")}</p>`);
    const name = nameOf(selected.value);
    const isGroup = layerOf(selected.value) === null;
    this.#isGroup = isGroup;
    const [, least, most] = SCALE;
    render(this, html`
      <section aria-label="${t(isGroup ? "inspector.group" : "inspector.title", { name })}">
        <div class="inspector-row">
          <input class="input name" name="name" type="text" maxlength="200" aria-label="${t("inspector.name")}">
          ${this.#button("lock", "lock")}${this.#button("up", "up")}${this.#button("down", "down")}
        </div>
        <div class="inspector-row places">
          <label>X <input class="input" name="x" type="number" min="-100000" max="100000" step="1" aria-label="${t("inspector.x")}"></label>
          <label>Y <input class="input" name="y" type="number" min="-100000" max="100000" step="1" aria-label="${t("inspector.y")}"></label>
          <label>% <input class="input" name="scale" type="number" min="${least}" max="${most}" step="1" aria-label="${t("inspector.scale")}"></label>
        </div>
        ${isGroup ? "" : SLIDERS.map((one) => this.#slider(one))}
        <details><summary>${t("inspector.colours")}</summary>${COLOURS.map((one) => this.#slider(one))}</details>
        ${isGroup ? "" : html`<div class="inspector-row">
          <button type="button" class="button small" data-action="split" title="${t("split.hint")}">${icon("layers")}${t("split.start")}</button>
          <progress max="100" aria-label="${t("split.running", { name })}" hidden></progress>
          <button type="button" class="button quiet small" data-action="stop" hidden>${t("progress.cancel")}</button>
        </div>`}
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
    const key = selected.value;
    const merge = `${field} ${key}`;
    if (field === "name") return rename(key, value.trim() || this.#givenName(), merge);
    let next = Number(value);
    if (!Number.isFinite(next) || (field === "scale" && value === "")) return;
    if (UNITS[field] === "%") next /= 100;
    // A group has the place and the size of its lowest layer.
    const [lowest] = this.#members();
    if (field === "x") moveBy(key, next - lowest.x, 0, merge);
    else if (field === "y") moveBy(key, 0, next - lowest.y, merge);
    else if (field === "scale" && this.#isGroup) scaleTo(key, next, merge);
    else editLayer(key, { [field]: next }, merge);
  }

  /** What a layer is called when its name is taken away. */
  #givenName() {
    return layerOf(selected.value)?.info.name ?? t("layers.unnamedGroup");
  }

  #sync() {
    const members = this.#members();
    // A layer that was split is a group from then on.
    const isGroup = members.length > 0 && layerOf(selected.value) === null;
    if (selected.value !== this.#key || isGroup !== this.#isGroup) return this.#draw();
    if (members.length === 0 || !this.find("section")) return;
    const [lowest] = members;
    const { dx, dy } = dragged.value ?? { dx: 0, dy: 0 };
    const values = { ...lowest, name: nameOf(selected.value), x: lowest.x + dx, y: lowest.y + dy };
    for (const input of this.querySelectorAll("input")) {
      const value = values[input.name];
      const shown = input.name === "name" ? value : Math.round(UNITS[input.name] === "%" ? value * 100 : value);
      // What is being typed stays as typed: "-" on the way to "-5".
      if (input.type === "range" || input !== document.activeElement) input.value = shown;
      const output = input.parentElement.querySelector("output");
      if (output) output.textContent = `${number(shown)}${UNITS[input.name] === "%" ? " %" : "°"}`;
    }
    const order = siblings(doc.value.layers, pathTo(doc.value.layers, selected.value).slice(0, -1));
    this.find('[data-action="up"]').disabled = order.at(-1) === selected.value;
    this.find('[data-action="down"]').disabled = order[0] === selected.value;
    this.find('[data-action="lock"]').setAttribute("aria-pressed", members.every((layer) => layer.locked));
    if (!isGroup) this.#syncSplit(lowest);
  }

  #syncSplit(layer) {
    const running = splitting.value[layer.key];
    const bar = this.find("progress");
    this.find('[data-action="split"]').disabled = running !== undefined || layer.info.bounding_box === null;
    this.find('[data-action="stop"]').hidden = !running?.job;
    bar.hidden = !running;
    bar.value = running?.percent ?? 0;
  }
}

export function register() {
  customElements.define("un-inspector", Inspector);
}
