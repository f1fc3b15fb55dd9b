// @ts-check
// The one place where text becomes markup: everything interpolated is escaped.

/** @type {Record<string, string>} */
const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

/**
 * What may be interpolated.
 * @typedef {Markup | string | number | boolean | null | undefined} Piece
 * @typedef {Piece | Piece[]} Content
 */

class Markup {
  /** @param {string} source */
  constructor(source) {
    this.source = source;
  }
}

/**
 * @param {Content} value
 * @returns {string}
 */
function escape(value) {
  if (value instanceof Markup) return value.source;
  if (Array.isArray(value)) return value.map(escape).join("");
  if (value === null || value === undefined || value === false) return "";
  return String(value).replace(/[&<>"']/g, (char) => ENTITIES[char]);
}

/**
 * Builds markup; nested markup and arrays of it pass, everything else is escaped.
 * Attribute values must stand in double quotes.
 *
 *     html`<b title="${name}">${count}</b>`
 *
 * @param {TemplateStringsArray} parts
 * @param {...Content} values
 */
export function html(parts, ...values) {
  return new Markup(String.raw({ raw: parts }, ...values.map(escape)));
}

/**
 * Replaces what `target` shows.
 * @param {Element} target
 * @param {Content} markup
 */
export function render(target, markup) {
  const template = document.createElement("template");
  template.innerHTML = escape(markup);
  target.replaceChildren(template.content);
}
