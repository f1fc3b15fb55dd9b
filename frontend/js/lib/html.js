// The one place where text becomes markup: everything interpolated is escaped.

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

class Markup {
  constructor(source) {
    this.source = source;
  }
}

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
 */
export function html(parts, ...values) {
  return new Markup(String.raw({ raw: parts }, ...values.map(escape)));
}

/** Replaces what `target` shows. */
export function render(target, markup) {
  const template = document.createElement("template");
  template.innerHTML = escape(markup);
  target.replaceChildren(template.content);
}
