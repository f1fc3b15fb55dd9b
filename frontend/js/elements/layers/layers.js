import { drawThumbnail } from "../../editor/compositor.js";
import { arrived, doc, edit, editLayer, isShown, place, selected, solo } from "../../editor/document.js";
import { membersOf, placed, rows } from "../../editor/tree.js";
import { urls } from "../../lib/api.js";
import { html, render } from "../../lib/html.js";
import { language, percent, t, tOr } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { View, delegate } from "../../lib/view.js";

const THUMBNAIL_PX = 96;
const DRAG_TYPE = "application/x-unflatten-layer";
// Rows of what lies deeper are indented no further.
const DEEPEST = 4;

/**
 * The layers and groups of the document, the highest first as designers expect
 * it: show, choose, solo, reorder by dragging, download.
 *
 *     <un-layers></un-layers>
 */
class Layers extends View {
  #painted = "";

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
    editLayer(key, { visible: !isVisible(key) });
  }

  #showAll() {
    solo.value = null;
    if (doc.value.layers.some((layer) => !layer.visible)) edit(doc.value.layers.map((layer) => ({ ...layer, visible: true })));
    this.find("ol button").focus();
  }

  #draw() {
    if (!doc.value) return;
    render(this, html`
      <div class="layers-head">
        <h2 id="layers-title">${t("layers.title", { count: doc.value.layers.length })}</h2>
        <button type="button" class="button quiet small" data-all hidden>${t("layers.showAll")}</button>
      </div>
      <ol aria-labelledby="layers-title">${rows(doc.value.layers).map((row) => this.#row(row))}</ol>`);
    this.#thumbnails();
    this.#sync();
  }

  #row({ key, depth, layer, group }) {
    const { name } = layer ?? group;
    const [show, solo] = [t("layers.visible", { name }), t("layers.solo", { name })];
    return html`
      <li data-key="${key}" data-depth="${Math.min(depth, DEEPEST)}" draggable="true" class="${layer ? (depth > 0 ? "part" : "") : "group"}">
        <button type="button" class="button quiet small square" data-eye aria-label="${show}" title="${show}">
          <span class="on">${icon("eye")}</span><span class="off">${icon("eyeOff")}</span></button>
        <button type="button" class="pick" data-pick>
          <canvas class="checker" width="${THUMBNAIL_PX}" height="${THUMBNAIL_PX}" aria-hidden="true"></canvas>
          <span class="words"><b title="${name}">${name}</b>
            <span class="meta"><span class="lock" hidden>${icon("lock")}<span class="visually-hidden">${t("layers.locked")} </span></span>${layer
              ? layerWords(layer.info) : t("layers.group", { count: membersOf(doc.value.layers, key).length })}</span>
            ${layer ? flagsOf(layer).map((words) => html`<span class="chip warn">${words}</span>`) : ""}
          </span>
        </button>
        <button type="button" class="button quiet small square" data-solo aria-label="${solo}" title="${solo}">${icon("solo")}</button>
        ${layer ? this.#download(layer) : ""}
      </li>`;
  }

  #download({ job, info, name }) {
    const words = t("layers.download", { name });
    return html`<a class="button quiet small square" href="${urls.layer(job, info.z_index)}" download="${info.file}"
      aria-label="${words}" title="${words}">${icon("download")}</a>`;
  }

  #sync() {
    if (!doc.value) return;
    if (!this.find("ol")) return this.#draw();
    const { layers } = doc.value;
    const wanted = rows(layers);
    const list = this.find("ol");
    // Parts that came in place of a layer that was split have no row yet, and its own becomes a group's.
    const rowOf = ({ key, layer }) => list.querySelector(`[data-key="${key}"]${layer ? ":not(.group)" : ".group"}`);
    if (list.children.length !== wanted.length || wanted.some((one) => !rowOf(one))) return this.#draw();
    this.#repaint();
    wanted.forEach((one, at) => {
      const { key } = one;
      const row = rowOf(one);
      const members = membersOf(layers, key);
      if (list.children[at] !== row) moveTo(list, row, at);
      row.classList.toggle("hidden", !members.some(isShown));
      row.classList.toggle("selected", selected.value === key);
      this.#name(row, one.layer ?? one.group);
      row.querySelector(".lock").hidden = !members.every((layer) => layer.locked);
      row.querySelector("[data-eye]").setAttribute("aria-pressed", isVisible(key));
      row.querySelector("[data-solo]").setAttribute("aria-pressed", solo.value === key);
      row.querySelector("[data-pick]").setAttribute("aria-pressed", selected.value === key);
    });
    this.find("[data-all]").hidden = solo.value === null && layers.every((layer) => layer.visible);
  }

  #name(row, { name }) {
    const place = row.querySelector("b");
    if (place.textContent === name) return;
    place.textContent = place.title = name;
    for (const [selector, key] of [["[data-eye]", "visible"], ["[data-solo]", "solo"], ["a", "download"]]) {
      const control = row.querySelector(selector);
      if (!control) continue;
      control.title = t(`layers.${key}`, { name });
      control.setAttribute("aria-label", control.title);
    }
  }

  // Colours change what a thumbnail shows, and the places of its parts that of a group's.
  #repaint() {
    const seen = JSON.stringify(doc.value.layers.map(({ key, groups, x, y, scale, hue, saturation, lightness }) =>
      [key, hue, saturation, lightness, ...(groups.length > 0 ? [x, y, scale] : [])]));
    if (seen !== this.#painted) this.#thumbnails();
    this.#painted = seen;
  }

  #thumbnails() {
    if (!doc.value) return;
    for (const row of this.querySelectorAll("li")) drawThumbnail(row.querySelector("canvas"), Number(row.dataset.key));
  }

  #reorder(keyOf) {
    let taken = null;
    const fits = (event, row) => event.dataTransfer.types.includes(DRAG_TYPE) && placed(doc.value.layers, taken, keyOf(row)) !== null;
    delegate(this, "dragstart", "li", (event, row) => {
      taken = keyOf(row);
      event.dataTransfer.setData(DRAG_TYPE, row.dataset.key);
      event.dataTransfer.effectAllowed = "move";
    });
    delegate(this, "dragover", "li", (event, row) => {
      for (const other of this.querySelectorAll(".target")) other.classList.remove("target");
      if (!fits(event, row)) return;
      event.preventDefault();
      row.classList.add("target");
    });
    delegate(this, "drop", "li", (event, row) => {
      if (!fits(event, row)) return;
      event.preventDefault();
      place(taken, keyOf(row));
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

const isVisible = (key) => membersOf(doc.value.layers, key).some((layer) => layer.visible);

function layerWords({ kind, coverage, visible_share: seen, flags }) {
  const words = [tOr(`kind.${kind}`, kind), t("layers.coverage", { share: percent(coverage) })];
  if (seen < 0.995 && !flags.empty) words.push(t("layers.seen", { share: percent(seen) }));
  return words.join(" · ");
}

function flagsOf({ job, info: { flags } }) {
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
