import { doc, editLayer, endEdit, layerOf, reset, selected, shift } from "../../editor/document.js";
import { html, render } from "../../lib/html.js";
import { language, percent, t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View } from "../../lib/view.js";

/**
 * What can be changed of the selected layer: opacity, place, order.
 *
 *     <un-inspector></un-inspector>
 */
class Inspector extends View {
  mount() {
    this.watch([selected, language], () => this.#draw());
    this.watch([doc], () => this.#sync());
    this.addEventListener("input", (event) => this.#take(event.target));
    this.addEventListener("change", () => endEdit());
    this.addEventListener("click", (event) => {
      const action = event.target.closest("[data-action]")?.dataset.action;
      if (action === "up") shift(selected.value, 1);
      if (action === "down") shift(selected.value, -1);
      if (action === "reset") reset();
    });
  }

  #draw() {
    const layer = layerOf(selected.value);
    if (!layer) return render(this, html`<p class="hint empty">${t("inspector.none")}</p>`);
    render(this, html`
      <section aria-label="${t("inspector.title", { name: layer.info.name })}">
        <div class="inspector-row">
          <label for="layer-opacity">${t("inspector.opacity")}</label>
          <input id="layer-opacity" name="opacity" type="range" min="0" max="100" step="1">
          <output for="layer-opacity"></output>
        </div>
        <div class="inspector-row">
          <label>X <input class="input" name="x" type="number" step="1" aria-label="${t("inspector.x")}"></label>
          <label>Y <input class="input" name="y" type="number" step="1" aria-label="${t("inspector.y")}"></label>
          <button type="button" class="button quiet small square" data-action="up" aria-label="${t("inspector.up")}" title="${t("inspector.up")}">${icon("up")}</button>
          <button type="button" class="button quiet small square" data-action="down" aria-label="${t("inspector.down")}" title="${t("inspector.down")}">${icon("down")}</button>
        </div>
      </section>`);
    this.#sync();
  }

  #take({ name, value }) {
    const number = Number(value);
    if (!name || !Number.isFinite(number)) return;
    const fields = name === "opacity" ? { opacity: number / 100 } : { [name]: Math.round(number) };
    editLayer(selected.value, fields, `${name} ${selected.value}`);
  }

  #sync() {
    const layer = layerOf(selected.value);
    if (!layer || !this.find("output")) return;
    const put = (name, value) => {
      const input = this.find(`[name="${name}"]`);
      // "-" on the way to "-5" reads as 0 and must stay as typed.
      if (input !== document.activeElement || Number(input.value) !== value) input.value = value;
    };
    put("opacity", Math.round(layer.opacity * 100));
    put("x", layer.x);
    put("y", layer.y);
    this.find("output").textContent = percent(Math.round(layer.opacity * 100) / 100);
    const place = doc.value.layers.indexOf(layer);
    this.find('[data-action="up"]').disabled = place === doc.value.layers.length - 1;
    this.find('[data-action="down"]').disabled = place === 0;
  }
}

export function register() {
  customElements.define("un-inspector", Inspector);
}
