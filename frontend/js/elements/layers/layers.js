import { drawThumbnail } from "../../editor/compositor.js";
import { arrived, doc, edit, editLayer, selected, solo } from "../../editor/document.js";
import { urls } from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { language, percent, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, delegate } from "../../lib/view.js";

const THUMBNAIL_PX = 96;
const DRAG_TYPE = "application/x-unflatten-layer";

/**
 * The layers of the document, the highest first as designers expect it: show,
 * choose, solo, reorder by dragging, download.
 *
 *     <un-layers></un-layers>
 */
class Layers extends View {
  mount() {
    const keyOf = (element) => Number(element.closest("li").dataset.key);
    delegate(this, "click", "[data-eye]", (event, button) => this.#eye(keyOf(button), event.altKey));
    delegate(this, "click", "[data-solo]", (_, button) => toggle(solo, keyOf(button)));
    delegate(this, "click", "[data-pick]", (_, button) => toggle(selected, keyOf(button)));
    delegate(this, "click", "[data-all]", () => this.#showAll());
    this.#reorder(keyOf);
    this.watch([language], () => this.#draw());
    this.watch([doc, solo, selected], () => this.#sync());
    this.watch([arrived], () => this.#thumbnails());
  }

  #eye(key, alone) {
    if (alone) return toggle(solo, key);
    // Showing or hiding while one layer is alone means the stack again.
    solo.value = null;
    const layer = doc.value.layers.find((one) => one.key === key);
    editLayer(key, { visible: !layer.visible });
  }

  #showAll() {
    solo.value = null;
    if (doc.value.layers.some((layer) => !layer.visible)) edit(doc.value.layers.map((layer) => ({ ...layer, visible: true })));
    this.find("ol button").focus();
  }

  #draw() {
    if (!doc.value) return;
    const layers = doc.value.layers.toReversed();
    render(this, html`
      <div class="layers-head">
        <h2 id="layers-title">${t("layers.title", { count: layers.length })}</h2>
        <button type="button" class="button quiet small" data-all hidden>${t("layers.showAll")}</button>
      </div>
      <ol aria-labelledby="layers-title">${layers.map((layer) => this.#row(layer))}</ol>`);
    this.#thumbnails();
    this.#sync();
  }

  #row({ key, job, info, name, groups }) {
    return html`
      <li data-key="${key}" draggable="true" ${groups.length > 0 ? html`class="part"` : ""}>
        <button type="button" class="button quiet small square" data-eye aria-label="${t("layers.visible", { name })}" title="${t("layers.visible", { name })}">
          <span class="on">${icon("eye")}</span><span class="off">${icon("eyeOff")}</span></button>
        <button type="button" class="pick" data-pick>
          <canvas class="checker" width="${THUMBNAIL_PX}" height="${THUMBNAIL_PX}" aria-hidden="true"></canvas>
          <span class="words"><b title="${name}">${name}</b>
            ${groups.length > 0 ? html`<span class="meta group">${t("layers.partOf", { name: groups.map((group) => group.name).join(" / ") })}</span>` : ""}
            <span class="meta"><span class="lock" hidden>${icon("lock")}<span class="visually-hidden">${t("layers.locked")} </span></span>${tOr(`kind.${info.kind}`, info.kind)} · ${t("layers.coverage", { share: percent(info.coverage) })}${info.visible_share < 0.995 && !info.flags.empty ? ` · ${t("layers.seen", { share: percent(info.visible_share) })}` : ""}</span>
            ${flagsOf(job, info).map((words) => html`<span class="chip warn">${words}</span>`)}
          </span>
        </button>
        <button type="button" class="button quiet small square" data-solo aria-label="${t("layers.solo", { name })}" title="${t("layers.solo", { name })}">${icon("solo")}</button>
        <a class="button quiet small square" href="${urls.layer(job, info.z_index)}" download="${info.file}"
          aria-label="${t("layers.download", { name })}" title="${t("layers.download", { name })}">${icon("download")}</a>
      </li>`;
  }

  #sync() {
    if (!doc.value) return;
    if (!this.find("ol")) return this.#draw();
    const layers = doc.value.layers.toReversed();
    const list = this.find("ol");
    this.#recolour();
    // Parts that came in place of a layer that was split have no row yet.
    if (list.children.length !== layers.length || layers.some(({ key }) => !list.querySelector(`[data-key="${key}"]`))) return this.#draw();
    layers.forEach((layer, place) => {
      const row = list.querySelector(`[data-key="${layer.key}"]`);
      if (list.children[place] !== row) moveTo(list, row, place);
      row.classList.toggle("hidden", solo.value === null ? !layer.visible : solo.value !== layer.key);
      row.classList.toggle("selected", selected.value === layer.key);
      this.#name(row, layer);
      row.querySelector(".lock").hidden = !layer.locked;
      row.querySelector("[data-eye]").setAttribute("aria-pressed", layer.visible);
      row.querySelector("[data-solo]").setAttribute("aria-pressed", solo.value === layer.key);
      row.querySelector("[data-pick]").setAttribute("aria-pressed", selected.value === layer.key);
    });
    this.find("[data-all]").hidden = solo.value === null && layers.every((layer) => layer.visible);
  }

  #name(row, { name }) {
    const place = row.querySelector("b");
    if (place.textContent === name) return;
    place.textContent = place.title = name;
    for (const [selector, key] of [["[data-eye]", "visible"], ["[data-solo]", "solo"], ["a", "download"]]) {
      const control = row.querySelector(selector);
      control.title = t(`layers.${key}`, { name });
      control.setAttribute("aria-label", control.title);
    }
  }

  // Only colours change what a thumbnail shows.
  #recolour() {
    const colours = JSON.stringify(doc.value.layers.map(({ key, hue, saturation, lightness }) => [key, hue, saturation, lightness]));
    if (colours !== this.dataset.colours) this.#thumbnails();
    this.dataset.colours = colours;
  }

  #thumbnails() {
    if (!doc.value) return;
    for (const layer of doc.value.layers) {
      const canvas = this.find(`[data-key="${layer.key}"] canvas`);
      if (canvas) drawThumbnail(canvas, layer);
    }
  }

  #reorder(keyOf) {
    const carries = (event) => event.dataTransfer.types.includes(DRAG_TYPE);
    delegate(this, "dragstart", "li", (event, row) => {
      event.dataTransfer.setData(DRAG_TYPE, row.dataset.key);
      event.dataTransfer.effectAllowed = "move";
    });
    delegate(this, "dragover", "li", (event, row) => {
      if (!carries(event)) return;
      event.preventDefault();
      for (const other of this.querySelectorAll(".target")) other.classList.remove("target");
      row.classList.add("target");
    });
    delegate(this, "drop", "li", (event, row) => {
      if (!carries(event)) return;
      event.preventDefault();
      place(Number(event.dataTransfer.getData(DRAG_TYPE)), keyOf(row));
    });
    this.addEventListener("dragend", () => this.querySelector(".target")?.classList.remove("target"));
  }
}

function toggle(choice, key) {
  choice.value = choice.value === key ? null : key;
}

function moveTo(list, row, place) {
  const focused = row.contains(document.activeElement) ? document.activeElement : null;
  list.insertBefore(row, list.children[place] ?? null);
  focused?.focus();
}

/** Puts a layer where another one is. */
function place(key, target) {
  if (key === target) return;
  const layers = [...doc.value.layers];
  const from = layers.findIndex((layer) => layer.key === key);
  const to = layers.findIndex((layer) => layer.key === target);
  layers.splice(to, 0, ...layers.splice(from, 1));
  edit(layers);
}

function flagsOf(job, { flags }) {
  const words = [];
  if (flags.empty) words.push(t("flag.empty"));
  if (flags.duplicate_of !== null && flags.duplicate_of !== undefined) {
    const other = doc.value.layers.find((layer) => layer.job === job && layer.info.z_index === flags.duplicate_of);
    words.push(t("flag.duplicate", { name: other?.info.name ?? flags.duplicate_of }));
  }
  if (flags.copy_of_composite) words.push(t("flag.copy"));
  return words;
}

export function register() {
  customElements.define("un-layers", Layers);
}
