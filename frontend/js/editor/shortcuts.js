// @ts-check

/**
 * The keys of the editor, in one place: what is pressed, what it does, and how the sheet shows it.
 *
 * @typedef {"move" | "hand" | "pick" | "wand" | "lasso" | "brush" | "eraser" | "pan" | "fit" | "actual" | "zoomIn" | "zoomOut" | "undo" | "redo" | "raise" | "lower" | "rename"
 *   | "deselect" | "type" | "nudge" | "visible" | "lock" | "menu" | "help" | "all" | "remove" | "duplicate" | "copyHere"
 *   | "group" | "ungroup" | "cut" | "copy" | "paste" | "merge"} Action
 */

/**
 * One line of the sheet: an action, and the keys for it; `*` stands for the arrow keys.
 * @typedef {{ action: Action, keys: string[] }} Shortcut
 */

/** @type {{ group: string, shortcuts: Shortcut[] }[]} */
export const SHORTCUTS = [
  {
    group: "view",
    shortcuts: [
      { action: "move", keys: ["V"] },
      { action: "hand", keys: ["H"] },
      { action: "pan", keys: ["Space"] },
      { action: "zoomIn", keys: ["+"] },
      { action: "zoomOut", keys: ["-"] },
      { action: "fit", keys: ["Ctrl+0"] },
      { action: "actual", keys: ["Ctrl+1"] },
    ],
  },
  {
    group: "tools",
    shortcuts: [
      { action: "pick", keys: ["W"] },
      { action: "wand", keys: ["Shift+W"] },
      { action: "lasso", keys: ["L"] },
      { action: "brush", keys: ["B"] },
      { action: "eraser", keys: ["E"] },
    ],
  },
  {
    group: "layer",
    shortcuts: [
      { action: "nudge", keys: ["*", "Shift+*"] },
      { action: "raise", keys: ["]"] },
      { action: "lower", keys: ["["] },
      { action: "rename", keys: ["F2"] },
      { action: "type", keys: ["Enter"] },
      { action: "cut", keys: ["Ctrl+X"] },
      { action: "copy", keys: ["Ctrl+C"] },
      { action: "paste", keys: ["Ctrl+V"] },
      { action: "duplicate", keys: ["Ctrl+D"] },
      { action: "copyHere", keys: ["Ctrl+J"] },
      { action: "remove", keys: ["Delete"] },
      { action: "group", keys: ["Ctrl+G"] },
      { action: "ungroup", keys: ["Ctrl+Shift+G"] },
      { action: "merge", keys: ["Ctrl+E"] },
      { action: "all", keys: ["Ctrl+A"] },
      { action: "deselect", keys: ["Escape"] },
    ],
  },
  {
    group: "edit",
    shortcuts: [
      { action: "undo", keys: ["Ctrl+Z"] },
      { action: "redo", keys: ["Ctrl+Shift+Z", "Ctrl+Y"] },
      { action: "menu", keys: ["Shift+F10"] },
      { action: "help", keys: ["?"] },
    ],
  },
];

/** Keys that mean the same as one of the sheet. */
const SAME = new Map([["=", "+"], ["0", "Ctrl+0"], ["1", "Ctrl+1"], ["_", "-"], ["Backspace", "Delete"]]);

const BY_KEYS = new Map(SHORTCUTS.flatMap(({ shortcuts }) => shortcuts.flatMap(({ action, keys }) => keys.map((one) => [one, action]))));

/**
 * The keys that stand on the sheet for an action.
 * @param {Action} action
 */
export const keysFor = (action) => SHORTCUTS.flatMap(({ shortcuts }) => shortcuts).find((one) => one.action === action)?.keys[0] ?? "";

/**
 * What a key is for, or `null`.
 * @param {Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">} event
 * @returns {Action | null}
 */
export function actionOf(event) {
  if (event.altKey) return null;
  const name = nameOf(event);
  const isLetter = /^[A-Z]$/.test(name);
  const isArrow = name === "*";
  // Other signs have Shift in them already.
  const shift = event.shiftKey && (isLetter || isArrow || name.length > 1) ? "Shift+" : "";
  const keys = `${event.ctrlKey || event.metaKey ? "Ctrl+" : ""}${shift}${name}`;
  return BY_KEYS.get(SAME.get(keys) ?? keys) ?? null;
}

/**
 * A key by what is printed on it, whichever language the keyboard is switched to: V is V in Korean too.
 * @param {Pick<KeyboardEvent, "key" | "code">} event
 */
function nameOf({ key, code }) {
  if (key.startsWith("Arrow")) return "*";
  if (key === " ") return "Space";
  if (key.length === 1 && /[a-z]/i.test(key)) return key.toUpperCase();
  if (key.length === 1 && key > "\u007f" && /^Key[A-Z]$/.test(code)) return code.slice(3);
  return key;
}
