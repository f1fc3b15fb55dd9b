// @ts-check
import { t } from "./i18n.js";

const isApple = /Mac|iPhone|iPad/.test(navigator.platform ?? "");
/** @type {Record<string, string>} */
const APPLE = { Ctrl: "⌘", Shift: "⇧" };
/** @type {Record<string, string>} */
const WORDS = { Space: "key.space", "*": "key.arrows" };

/**
 * "Ctrl+Shift+Z" as people read it on their keyboard.
 * @param {string} keys
 */
export function keysWords(keys) {
  const names = keys === "+" ? ["+"] : keys.split("+");
  return names.map((name) => (isApple && APPLE[name]) || (name in WORDS ? t(WORDS[name]) : name.replace("Escape", "Esc"))).join(isApple ? "" : " + ");
}
