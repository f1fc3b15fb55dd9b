// @ts-check
import { selected, typing } from "../../editor/display.js";
import { doc, layerOf } from "../../editor/document.js";
import { cssFont, families, listFonts, measured } from "../../editor/fonts.js";
import { backOf, middleOf, placeOf } from "../../editor/geometry.js";
import { endEdit } from "../../editor/history.js";
import { setBlock } from "../../editor/retype.js";
import { blocksOf, colourOf, reworded, styleOf, wordsOf } from "../../editor/words.js";
import { t } from "../../lib/i18n.js";

/**
 * Types over a block of words on the canvas, in the browser's own letters until the service has drawn them. Escape, or a
 * click elsewhere, ends it; the words stay, and undo takes them back.
 */
export class Typing {
  #stage;
  #viewport;
  /** @type {HTMLTextAreaElement | null} */
  #field = null;
  /** What had the focus before. */
  #frame;

  /**
   * @param {HTMLElement} frame
   * @param {HTMLElement} stage
   * @param {import("./viewport.js").Viewport} viewport
   */
  constructor(frame, stage, viewport) {
    this.#frame = frame;
    this.#stage = stage;
    this.#viewport = viewport;
  }

  /** Shows or removes the field, and keeps it in its place. */
  sync() {
    const at = typing.value;
    const block = this.#block();
    if (!at || !block) return this.#close();
    if (this.#field?.dataset.at !== `${at.key} ${at.number}`) {
      this.#close();
      this.#open(`${at.key} ${at.number}`, wordsOf(block.text));
    }
    this.place();
  }

  #block() {
    const layer = layerOf(typing.value?.key ?? null);
    return layer && blocksOf(layer).find(({ number }) => number === typing.value?.number);
  }

  /**
   * @param {string} at
   * @param {string} words
   */
  #open(at, words) {
    listFonts();
    const field = document.createElement("textarea");
    field.className = "typing";
    field.spellcheck = false;
    field.wrap = "off";
    field.value = words;
    field.dataset.at = at;
    field.setAttribute("aria-label", t("type.words"));
    field.addEventListener("input", () => this.#take());
    field.addEventListener("keydown", (event) => this.#key(event));
    field.addEventListener("blur", () => this.#end());
    for (const type of ["pointerdown", "dblclick", "wheel"]) field.addEventListener(type, (event) => event.stopPropagation());
    this.#field = field;
    this.#stage.append(field);
    field.focus();
    field.select();
    // The letters may arrive after the field.
    document.fonts.ready.then(() => this.place());
  }

  #take() {
    const block = this.#block();
    const at = typing.value;
    if (block && at && this.#field) setBlock(at.key, at.number, reworded(block.text, this.#field.value), `words ${at.key} ${at.number}`);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    event.stopPropagation();
    // Escape ends the composition of a Korean syllable first.
    if (event.isComposing) return;
    if (event.key === "Escape" || (event.key === "Enter" && (event.ctrlKey || event.metaKey))) {
      event.preventDefault();
      this.#end();
      this.#frame.focus();
    }
  }

  #end() {
    endEdit();
    typing.value = null;
  }

  #close() {
    const field = this.#field;
    this.#field = null;
    field?.remove();
  }

  /** Lays the field over the words that it is of. */
  place() {
    const field = this.#field;
    const layer = layerOf(typing.value?.key ?? null);
    const block = this.#block();
    if (!field || !layer || !block || !doc.value) return;
    const { text } = block;
    const style = styleOf(text);
    // Letters are as high as their layer makes them, then made wider or narrower.
    const zoom = this.#viewport.scale * layer.scale_y;
    const { width, ascent, descent } = measured(field.value.split("\n"), style);
    const { x, y } = placeOf(layer, text.position);
    const left = { left: 0, centre: width / 2, right: width }[text.align];
    // Half of what is left of a line's height is above its letters (CSS 2.1, 10.8.1).
    const above = (style.line_height - ascent - descent) / 2 + ascent;
    Object.assign(field.style, {
      font: cssFont(style, style.size * zoom),
      lineHeight: `${style.line_height * zoom}px`,
      letterSpacing: `${style.letter_spacing * zoom}px`,
      color: colourOf(style.fill),
      textAlign: text.align === "centre" ? "center" : text.align,
      left: `${x * this.#viewport.scale - left * zoom}px`,
      top: `${y * this.#viewport.scale - above * zoom}px`,
      // The caret stands after the last letter.
      width: `${width * zoom + 4}px`,
      height: `${style.line_height * zoom * field.value.split("\n").length}px`,
      transformOrigin: `${left * zoom}px ${above * zoom}px`,
      transform: `rotate(${layer.rotation}deg) scaleX(${layer.scale_x / layer.scale_y}) rotate(${text.angle}deg)`,
    });
  }
}

/**
 * Begins to type over the block of a layer that is nearest to a point of the canvas, if it has words and is not locked.
 * Answers with whether it has.
 * @param {import("../../types.js").Layer | null} layer
 * @param {import("../../types.js").Point | null} [point]
 */
export function typeOver(layer, point = null) {
  if (!layer || layer.locked) return false;
  const blocks = blocksOf(layer);
  if (blocks.length === 0) return false;
  /** @param {import("../../editor/words.js").Block} block */
  const distance = ({ text, read }) => {
    if (!point) return 0;
    const area = read?.bounding_box ?? { ...text.position, width: 0, height: 0 };
    const [own, middle] = [backOf(layer, point), middleOf(area)];
    return Math.hypot(Math.max(0, Math.abs(own.x - middle.x) - area.width / 2), Math.max(0, Math.abs(own.y - middle.y) - area.height / 2));
  };
  const [nearest] = blocks.map((block) => ({ block, far: distance(block) })).sort((a, b) => a.far - b.far);
  selected.value = layer.key;
  typing.value = { key: layer.key, number: nearest.block.number };
  return true;
}

/** What the place of the field depends on, beside the view. */
export const typedOver = [typing, doc, families];
