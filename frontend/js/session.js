// @ts-check
// Who uses the page, on services that need a token.
import * as api from "./lib/api.js";
import { signal } from "./lib/signal.js";

/** The name of the token that the page uses; empty where the service needs none. */
export const signedInAs = signal("");

/** Whether the page has to ask for a token. */
export const needsToken = signal(false);

/** Finds out whether somebody has to sign in; answers when nobody has to, or somebody did. */
export async function whenSignedIn() {
  document.addEventListener("signed-out", () => (needsToken.value = true));
  try {
    show(await api.session());
  } catch {
    // Not reachable yet: what asks next says so.
  }
  if (needsToken.value) await /** @type {Promise<void>} */ (new Promise((resolve) => void needsToken.subscribe(() => resolve())));
}

/**
 * Throws when the token is not valid.
 * @param {string} token
 */
export async function signIn(token) {
  show(await api.signIn(token));
}

/** Ends the session. The page starts anew, without what was on it. */
export async function signOut() {
  await api.signOut();
  location.assign("./");
}

/** @param {import("./types.js").Session} session */
function show(session) {
  signedInAs.value = session.name ?? "";
  needsToken.value = session.needs_token && !session.name;
}
