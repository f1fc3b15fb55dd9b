// @ts-check
import { html, render } from "../../lib/html.js";
import { language, t } from "../../lib/i18n.js";
import { View } from "../../lib/view.js";
import { needsToken, signIn } from "../../session.js";

/**
 * Asks for a token while the page has none, and lets nothing else be used.
 *
 *     <un-login></un-login>
 */
class Login extends View {
  mount() {
    this.watch([needsToken, language], () => this.#draw());
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    // Escape has nowhere to go; browsers let it be kept back only once.
    this.addEventListener("close", () => this.querySelector("dialog")?.showModal(), { capture: true });
  }

  #draw() {
    if (!needsToken.value) return this.replaceChildren();
    // A name beside it lets password managers keep the token.
    render(this, html`
      <dialog aria-labelledby="login-title"><form>
        <div class="dialog-head"><h2 id="login-title">${t("login.title")}</h2></div>
        <p>${t("login.lead")}</p>
        <input type="text" name="username" value="unflatten" autocomplete="username" aria-label="Unflatten" hidden>
        <div class="field">
          <label for="login-token">${t("login.token")}</label>
          <input class="input" id="login-token" type="password" autocomplete="current-password" maxlength="256" required
            aria-describedby="login-problem">
          <p id="login-problem" class="problem" role="alert"></p>
        </div>
        <div class="dialog-foot"><button class="button primary">${t("login.send")}</button></div>
      </form></dialog>`);
    this.find("dialog", HTMLDialogElement).showModal();
  }

  async #send() {
    const [field, button] = [this.find("#login-token", HTMLInputElement), this.find("button", HTMLButtonElement)];
    button.disabled = true;
    try {
      await signIn(field.value.trim());
    } catch (error) {
      if (!this.isConnected || !field.isConnected) return;
      this.find(".problem").textContent = error instanceof Error ? error.message : String(error);
      button.disabled = false;
      field.focus();
      field.select();
    }
  }
}

export function register() {
  customElements.define("un-login", Login);
}
