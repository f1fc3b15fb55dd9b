// @ts-check
import { SHORTCUTS } from "../../editor/shortcuts.js";
import { html, render } from "../../lib/html.js";
import { t } from "../../lib/i18n.js";
import { icon } from "../../lib/icons.js";
import { keysWords } from "../../lib/keys.js";
import { View, closest } from "../../lib/view.js";

/**
 * The sheet with all keys of the editor.
 *
 *     <un-shortcuts></un-shortcuts>
 */
class Shortcuts extends View {
  mount() {
    render(this, html`<dialog aria-labelledby="shortcuts-title"></dialog>`);
    this.addEventListener("click", (event) => {
      const dialog = this.find("dialog", HTMLDialogElement);
      if (event.target === dialog || closest(event, "[data-close]")) dialog.close();
    });
  }

  show() {
    const dialog = this.find("dialog", HTMLDialogElement);
    if (dialog.open) return;
    render(dialog, html`
      <div class="dialog-head"><h2 id="shortcuts-title">${t("shortcuts.title")}</h2>
        <button type="button" class="button quiet square" data-close aria-label="${t("dialog.close")}">${icon("close")}</button></div>
      <div class="groups">${SHORTCUTS.map(({ group, shortcuts }) => html`
        <section><h3 class="label">${t(`shortcuts.${group}`)}</h3>
          <dl>${shortcuts.map(({ action, keys }) => html`
            <div><dt>${t(`shortcuts.${group}.${action}`)}</dt><dd>${keys.map((one) => html`<kbd>${keysWords(one)}</kbd>`)}</dd></div>`)}</dl>
        </section>`)}
        <section><h3 class="label">${t("shortcuts.mouse")}</h3>
          <dl>${["wheel", "zoom", "middle", "double", "add", "free", "stretch", "context"].map((one) => html`
            <div><dt>${t(`shortcuts.mouse.${one}`)}</dt><dd><kbd>${t(`shortcuts.mouse.${one}.how`)}</kbd></dd></div>`)}</dl>
        </section>
      </div>`);
    dialog.showModal();
  }
}

/** Shows the sheet. */
export function showShortcuts() {
  const sheet = document.querySelector("un-shortcuts");
  if (sheet instanceof Shortcuts) sheet.show();
}

export function register() {
  customElements.define("un-shortcuts", Shortcuts);
}
