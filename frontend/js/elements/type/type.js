// @ts-check
import { selected, typing } from "../../editor/display.js";
import { doc, layerOf } from "../../editor/document.js";
import { families, familyOf, listFonts, measured } from "../../editor/fonts.js";
import { endEdit } from "../../editor/history.js";
import { restoreBlock, setBlock } from "../../editor/retype.js";
import { blocksOf, colourOf, resized, restyled, reworded, styleOf, wordsOf } from "../../editor/words.js";
import { html, render } from "../../lib/html.js";
import { language, percent, t } from "../../lib/i18n.js";
import { View, closest } from "../../lib/view.js";

/**
 * @typedef {import("../../types.js").Align} Align
 * @typedef {import("../../types.js").Text} Text
 * @typedef {import("../../types.js").FontMatch} FontMatch
 * @typedef {import("../../editor/words.js").Block} Block
 */

/** @type {Align[]} */
const ALIGNS = ["left", "centre", "right"];
/** A part of a line below this may be misread; exports leave such words as pixels. */
const DOUBTFUL = 0.65;

/**
 * Edits the words of the selected layer: what they say and how they look.
 *
 *     <un-type></un-type>
 */
class Type extends View {
  /** The layer and block that are shown. */
  #shown = "";
  #number = 0;

  mount() {
    this.watch([language, families], () => this.#draw());
    this.watch([selected, typing, doc], () => this.#sync());
    this.addEventListener("input", (event) => this.#take(event.target));
    this.addEventListener("change", (event) => {
      if (event.target instanceof HTMLSelectElement && event.target.name === "block") this.#choose(Number(event.target.value));
      endEdit();
    });
    this.addEventListener("click", (event) => {
      if (closest(event, "[data-restore]") && selected.value !== null) restoreBlock(selected.value, this.#number);
    });
  }

  /** @param {number} number */
  #choose(number) {
    this.#number = number;
    this.#draw();
  }

  /** @returns {Block[]} */
  #blocks() {
    const layer = layerOf(selected.value);
    return layer ? blocksOf(layer) : [];
  }

  #block() {
    return this.#blocks().find(({ number }) => number === this.#number);
  }

  #sync() {
    if (typing.value && typing.value.key === selected.value) this.#number = typing.value.number;
    const blocks = this.#blocks();
    if (!blocks.some(({ number }) => number === this.#number)) this.#number = blocks[0]?.number ?? 0;
    if (this.#shown !== (blocks.length > 0 ? `${selected.value} ${this.#number}` : "")) return this.#draw();
    this.#fill();
  }

  #draw() {
    const blocks = this.#blocks();
    const block = this.#block();
    this.#shown = block ? `${selected.value} ${this.#number}` : "";
    if (!block) return render(this, html``);
    listFonts();
    const style = styleOf(block.text);
    render(this, html`
      <section aria-label="${t("type.title")}">
        ${blocks.length > 1 ? html`<select class="input" name="block" aria-label="${t("type.block")}">${blocks.map(({ number, text }) => html`
          <option value="${number}" ${number === this.#number ? html`selected` : ""}>${wordsOf(text).replace(/\s+/g, " ")}</option>`)}</select>` : ""}
        <textarea class="input" name="words" spellcheck="false" aria-label="${t("type.words")}"></textarea>
        ${doubtful(block) ? html`<p class="hint">${t("type.doubtful")}</p>` : ""}
        <select class="input" name="family" aria-label="${t("type.family")}">${familyChoices(block)}</select>
        <div class="type-row">
          ${this.#number_("size", "1", "4000", "0.1")}
          <label>${t("type.weight")} <select class="input" name="weight">${weightChoices(style)}</select></label>
          <label class="colour">${t("type.colour")} <input class="input" name="colour" type="color"></label>
        </div>
        <div class="type-row">
          ${this.#number_("letter_spacing", "-1000", "1000", "0.1")}
          ${this.#number_("line_height", "0", "40000", "0.1")}
          <fieldset><legend class="visually-hidden">${t("type.align")}</legend><div class="choices">${ALIGNS.map((align) => html`
            <label title="${t(`type.${align}`)}"><input type="radio" name="align" value="${align}">
            <span><i class="align ${align}"></i><span class="visually-hidden">${t(`type.${align}`)}</span></span></label>`)}</div></fieldset>
        </div>
        <button type="button" class="button quiet small" data-restore>${t("type.restore")}</button>
      </section>`);
    this.#fill();
  }

  /**
   * @param {"size" | "letter_spacing" | "line_height"} name
   * @param {string} least
   * @param {string} most
   * @param {string} step
   */
  #number_(name, least, most, step) {
    return html`<label>${t(`type.${name}`)} <input class="input" name="${name}" type="number" min="${least}" max="${most}" step="${step}"></label>`;
  }

  /** Shows the values, but for the field that somebody is in. */
  #fill() {
    const block = this.#block();
    if (!block || !this.querySelector("section")) return;
    const { text, read } = block;
    const { family, weight, size, letter_spacing, line_height, fill } = styleOf(text);
    /** @type {Record<string, string>} */
    const values = {
      words: wordsOf(text), family: familyOf(family)?.family ?? family, weight: String(weight), size: rounded(size), colour: colourOf(fill).slice(0, 7),
      letter_spacing: rounded(letter_spacing), line_height: rounded(line_height),
    };
    for (const field of this.querySelectorAll("input, select, textarea")) {
      const { name } = /** @type {HTMLInputElement} */ (field);
      if (field instanceof HTMLInputElement && name === "align") field.checked = field.value === text.align;
      else if (field !== document.activeElement && name in values) /** @type {HTMLInputElement} */ (field).value = values[name];
    }
    this.find("textarea", HTMLTextAreaElement).rows = Math.min(6, text.lines.length);
    this.find("[data-restore]").hidden = !read || !layerOf(selected.value)?.text?.[this.#number];
  }

  /** @param {EventTarget | null} target */
  #take(target) {
    const block = this.#block();
    const key = selected.value;
    const field = /** @type {HTMLInputElement} */ (target);
    if (!block || key === null || !field.checkValidity() || field.value === "" && field.name !== "words") return;
    const text = changed(block.text, field.name, field.value);
    if (text) setBlock(key, block.number, text, `${field.name} ${key} ${block.number}`);
    // Another family has other weights.
    if (field.name === "family") this.find("[name=weight]", HTMLSelectElement).replaceChildren(...weights(styleOf(text ?? block.text)).map(option));
    if (field.name === "family") this.#fill();
  }
}

/**
 * The block with one field changed, or `null` if it has no such field.
 * @param {Text} text
 * @param {string} field
 * @param {string} value
 * @returns {Text | null}
 */
function changed(text, field, value) {
  if (field === "words") return reworded(text, value);
  if (field === "size") return resized(text, Number(value));
  if (field === "colour") return restyled(text, () => ({ fill: { colour: value } }));
  if (field === "align") return aligned(text, /** @type {Align} */ (value));
  if (field === "family") return restyled(text, ({ weight }) => ({ family: value, weight: nearest(weightsOf(value), weight) }));
  if (field === "weight" || field === "letter_spacing" || field === "line_height") return restyled(text, () => ({ [field]: Number(value) }));
  return null;
}

/**
 * A block that is held at another point of its lines and stays where it is.
 * @param {Text} text
 * @param {Align} align
 * @returns {Text}
 */
function aligned(text, align) {
  const { width } = measured(wordsOf(text).split("\n"), styleOf(text));
  const by = (ALIGNS.indexOf(align) - ALIGNS.indexOf(text.align)) * (width / 2);
  const turn = (text.angle * Math.PI) / 180;
  return { ...text, align, position: { x: text.position.x + by * Math.cos(turn), y: text.position.y + by * Math.sin(turn) } };
}

/** @param {Block} block */
const doubtful = ({ text, read }) => Boolean(read && text === read.text && read.lines.some(({ weakest }) => weakest < DOUBTFUL));

/** @param {number} value */
const rounded = (value) => String(Math.round(value * 10) / 10);

/** @type {(family: string) => number[]} */
const weightsOf = (family) => [...new Set((familyOf(family)?.faces ?? []).map(({ weight }) => weight))];

/** @type {(values: number[], wanted: number) => number} */
const nearest = (values, wanted) => values.reduce((best, one) => (Math.abs(one - wanted) < Math.abs(best - wanted) ? one : best), values[0] ?? wanted);

/** @param {import("../../types.js").TextStyle} style */
function weights({ family, weight }) {
  const found = weightsOf(family);
  return found.includes(weight) ? found : [...found, weight].sort((a, b) => a - b);
}

/** @param {import("../../types.js").TextStyle} style */
const weightChoices = (style) => weights(style).map((weight) => html`<option value="${weight}">${weight}</option>`);

/** @param {number} weight */
const option = (weight) => new Option(String(weight), String(weight));

/**
 * The families of the service: those that the poster's letters are most like come first, with how like they are.
 * @param {Block} block
 */
function familyChoices({ text, read }) {
  const line = read?.lines[0];
  /** @type {Map<string, number>} */
  const alike = new Map();
  for (const { family, similarity = line?.similarity ?? 0 } of line ? [line.font, ...(line.alternatives ?? [])] : []) {
    if (!alike.has(family)) alike.set(family, similarity);
  }
  const now = styleOf(text).family;
  const known = families.value.map(({ family }) => family);
  const others = known.filter((family) => !alike.has(family));
  if (!alike.has(now) && !familyOf(now)) others.unshift(now);
  const shown = (/** @type {string} */ family) => (language.value === "ko" && familyOf(family)?.korean_family) || family;
  /** @type {(families: [string, string][]) => import("../../lib/html.js").Content} */
  const options = (all) => all.map(([family, words]) => html`<option value="${family}">${words}</option>`);
  return html`
    ${alike.size > 0 ? html`<optgroup label="${t("type.alike")}">${options([...alike].map(([family, share]) => [family, `${shown(family)} · ${percent(share)}`]))}</optgroup>` : ""}
    <optgroup label="${t("type.others")}">${options(others.map((family) => [family, shown(family)]))}</optgroup>`;
}

export function register() {
  customElements.define("un-type", Type);
}
