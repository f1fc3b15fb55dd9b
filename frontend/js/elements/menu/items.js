// @ts-check
import { duplicatePicked, groupPicked, removePicked, ungroupPicked } from "../../editor/arrange.js";
import { canPaste, copyPicked, cutPicked, paste } from "../../editor/clipboard.js";
import { ground, renaming, selected, solo, tool } from "../../editor/display.js";
import { boxAt, layerOf, layersNow, partsAt } from "../../editor/document.js";
import { isAllVisible, isEdited, isLocked, isVisible, restore, shift, showAll, toggleLocked, toggleVisible } from "../../editor/edits.js";
import { history, reset } from "../../editor/history.js";
import { addPicture, canMerge, choosePicture, mergePicked, replacePixels } from "../../editor/own-pictures.js";
import { copyLayer, saveLayer } from "../../editor/save.js";
import { keysFor } from "../../editor/shortcuts.js";
import { canSplit, splitLayer, splitting } from "../../editor/split.js";
import { PIXEL_TOOLS } from "../../editor/tooling.js";
import { canShift } from "../../editor/tree.js";
import { wordsIn } from "../../editor/words.js";
import { copyText } from "../../lib/clipboard.js";
import { t } from "../../lib/i18n.js";
import { notify } from "../../notices.js";
import { showShortcuts } from "../shortcuts/shortcuts.js";

/** @typedef {import("./menu.js").Item} Item */

/** @type {(typeof ground.value)[]} */
export const GROUNDS = ["checker", "white", "black", "magenta"];

/**
 * What can be done with a layer or group.
 * @param {number} key
 * @returns {(Item | null)[]}
 */
export function layerItems(key) {
  const layer = layerOf(key);
  const words = partsAt(key).flatMap((one) => wordsIn(one) ?? []).join("\n");
  return [
    { words: t("menu.rename"), icon: "pencil", keys: keysFor("rename"), run: () => (renaming.value = key) },
    { words: t(isVisible(key) ? "menu.hide" : "menu.show"), icon: isVisible(key) ? "eyeOff" : "eye", run: () => toggleVisible(key) },
    { words: t(solo.value === key ? "layers.showAll" : "menu.solo"), icon: "solo", run: () => (solo.value = solo.value === key ? null : key) },
    { words: t(isLocked(key) ? "menu.unlock" : "menu.lock"), icon: "lock", run: () => toggleLocked(key) },
    null,
    { words: t("inspector.up"), icon: "up", keys: keysFor("raise"), isOff: !canShift(layersNow(), key, 1), run: () => shift(key, 1) },
    { words: t("inspector.down"), icon: "down", keys: keysFor("lower"), isOff: !canShift(layersNow(), key, -1), run: () => shift(key, -1) },
    null,
    { words: t("menu.cut"), keys: keysFor("cut"), isOff: isLocked(key), run: () => void cutPicked() },
    { words: t("menu.copy"), icon: "copy", keys: keysFor("copy"), run: () => void copyPicked() },
    { words: t("menu.paste"), keys: keysFor("paste"), isOff: !canPaste(), run: () => void paste() },
    { words: t("menu.duplicate"), icon: "copy", keys: keysFor("duplicate"), run: () => duplicatePicked() },
    { words: t("menu.group"), icon: "layers", keys: keysFor("group"), run: groupPicked },
    ...(layer ? [] : [{ words: t("menu.ungroup"), keys: keysFor("ungroup"), run: ungroupPicked }]),
    { words: t("menu.merge"), keys: keysFor("merge"), isOff: !canMerge(), run: () => void mergePicked() },
    ...(layer ? [{ words: t("menu.replace"), isOff: !layer.info.bounding_box, run: () => choosePicture((file) => void replacePixels(key, file)) }] : []),
    { words: t("menu.remove"), icon: "close", keys: keysFor("remove"), isOff: isLocked(key), run: removePicked },
    null,
    ...(layer ? [{
      words: t("split.start"), icon: "layers", isOff: splitting.value[key] !== undefined || !canSplit(layer), run: () => void splitLayer(key),
    }] : []),
    ...(words ? [{ words: t("menu.copyText"), icon: "copy", run: () => void copyWords(words) }] : []),
    { words: t("menu.copyPicture"), icon: "copy", isOff: boxAt(key) === null, run: () => void copyLayer(key) },
    { words: t("menu.download"), icon: "download", run: () => saveLayer(key) },
    { words: t("type.restore"), icon: "reset", isOff: !isEdited(key), run: () => restore(key) },
    null,
    { words: t("menu.deselect"), keys: keysFor("deselect"), isOff: selected.value === null, run: () => (selected.value = null) },
  ];
}

/**
 * What can be done with the view.
 * @param {import("../canvas/viewport.js").Viewport} view
 * @returns {(Item | null)[]}
 */
export function viewItems(view) {
  return [
    { words: t("menu.paste"), keys: keysFor("paste"), isOff: !canPaste(), run: () => void paste() },
    null,
    { words: t("menu.addPicture"), icon: "plus", run: () => choosePicture((file) => void addPicture(file)) },
    { words: t("zoom.fit"), icon: "fit", keys: keysFor("fit"), run: () => view.fit() },
    { words: t("zoom.one"), keys: keysFor("actual"), run: () => view.zoomTo(1) },
    null,
    ...moreItems(),
  ];
}

/**
 * What has no place in a narrow toolbar.
 * @returns {(Item | null)[]}
 */
export function moreItems() {
  return [
    ...GROUNDS.map((one) => ({ words: t(`ground.${one}`), isOn: ground.value === one, run: () => void (ground.value = one) })),
    null,
    ...(/** @type {const} */ (["move", ...PIXEL_TOOLS])).map((one) => ({ words: t(`tools.${one}`), keys: keysFor(one), isOn: tool.value === one, run: () => void (tool.value = one) })),
    null,
    { words: t("layers.showAll"), icon: "eye", isOff: solo.value === null && isAllVisible(), run: () => [(solo.value = null), showAll()] },
    { words: t("tools.reset"), icon: "reset", isOff: !history.value.undo, run: () => void reset() },
    { words: t("shortcuts.title"), icon: "keyboard", keys: keysFor("help"), run: showShortcuts },
  ];
}

/**
 * Puts words on the clipboard and says so.
 * @param {string} words
 */
export async function copyWords(words) {
  if (await copyText(words)) notify("info", t("words.copied"));
  else notify("error", t("words.notCopied"));
}
