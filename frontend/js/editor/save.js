// @ts-check
import * as api from "../lib/api.js";
import { download } from "../lib/download.js";
import { t } from "../lib/i18n.js";
import { stored } from "../lib/signal.js";
import { failureOf, notify } from "../notices.js";
import { isShown, solo } from "./display.js";
import { doc } from "./document.js";
import { elementsFrom } from "./elements.js";
import { groupTitle, layerTitle } from "./names.js";

/** Formats of an export; the first is one flat picture, the others keep the layers. */
export const FORMATS = [["png", "PNG"], ["psd", "PSD"], ["ora", "ORA"], ["pptx", "PPTX"], ["svg", "SVG"], ["zip", "ZIP"]];

/**
 * How PSD, PPTX and SVG have words: as text with the pixels hidden beside it, as text alone, or as pixels.
 * @type {import("../lib/signal.js").Signal<"both" | "live" | "pixels">}
 */
export const textMode = stored("unflatten.text", "both");

/**
 * Whether layers of one colour and shape are shapes in PPTX, SVG and PSD, or pixels like others.
 * @type {import("../lib/signal.js").Signal<"native" | "pixels">}
 */
export const shapeMode = stored("unflatten.shapes", "native");

/**
 * The document as it is shown, with names in the page's language.
 * @param {import("../types.js").Layer[]} layers
 */
export function shownElements(layers) {
  return elementsFrom(layers.map((layer) => ({
    ...layer,
    name: layerTitle(layer),
    // A layer in a hidden group stays as it is.
    visible: solo.value === null ? layer.visible : isShown(layer),
    groups: layer.groups.map((group) => ({ ...group, name: groupTitle(group), visible: solo.value !== null || group.visible })),
  })));
}

/**
 * Exports the document as it is shown, and downloads the file.
 * @param {string} format
 * @param {string} name of the picture
 */
export async function save(format, name) {
  // The layers have not arrived yet.
  if (!doc.value) return;
  try {
    const file = await api.compose(doc.value.id, { format, text: textMode.value, shapes: shapeMode.value, elements: shownElements(doc.value.layers) });
    const url = URL.createObjectURL(file);
    download(url, `${name.replace(/\.[^.]*$/, "") || "poster"}-layers.${format}`);
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  } catch (error) {
    notify("error", t("error.export", { message: failureOf(error).message }));
  }
}
