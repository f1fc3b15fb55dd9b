// @ts-check
import * as api from "../lib/api.js";
import { urls } from "../lib/api.js";
import { download } from "../lib/download.js";
import { fileSize, t } from "../lib/i18n.js";
import { signal, stored } from "../lib/signal.js";
import { failureOf, notify } from "../notices.js";
import { contextOf, drawLayer, sheet } from "./compositor.js";
import { isShown, solo } from "./display.js";
import { doc, layersNow, nameOf, partsAt, seenAt } from "./document.js";
import { elementsFrom } from "./elements.js";
import { groupTitle, layerTitle } from "./names.js";
import { flush, known } from "./outbox.js";

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
 * The format that was exported last.
 * @type {import("../lib/signal.js").Signal<string>}
 */
export const format = stored("unflatten.format", "psd");

/** Whether a ZIP has each layer trimmed, too. */
export const trims = stored("unflatten.trim", false);

/** Whether the files of a ZIP are named after the layers. */
export const namesFiles = stored("unflatten.names", false);

/**
 * Pixels for each one of the document.
 * @type {import("../lib/signal.js").Signal<1 | 2>}
 */
export const scale = stored("unflatten.scale", 1);

/**
 * Pixels per inch that are written into files; `null` as the picture has it.
 * @type {import("../lib/signal.js").Signal<number | null>}
 */
export const dpi = signal(/** @type {number | null} */ (null));

/**
 * Whether exports are of the document as it is seen, or as if nobody had edited it.
 * @type {import("../lib/signal.js").Signal<"seen" | "original">}
 */
export const view = signal("seen");

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
 * What is exported, in the words of the service.
 * @param {string} format
 * @param {import("../types.js").Layer[]} layers
 */
function asked(format, layers) {
  const how = { format, text: textMode.value, shapes: shapeMode.value, trim: format === "zip" && trims.value, names: namesFiles.value, scale: scale.value, dpi: dpi.value };
  return view.value === "original" ? { ...how, as: "original" } : { ...how, elements: shownElements(layers) };
}

/**
 * Exports the document and downloads the file.
 * @param {string} format
 * @param {string} name of the picture
 * @param {() => boolean} [isSlow] whether it took so long that its end is told
 */
export async function save(format, name, isSlow = () => false) {
  // The layers have not arrived yet.
  if (!doc.value) return;
  try {
    const file = await api.compose(doc.value.id, asked(format, doc.value.layers));
    const title = `${name.replace(/\.[^.]*$/, "") || "poster"}-layers.${format}`;
    downloadBlob(file, title);
    if (isSlow()) notify("info", t("take.saved", { name: title, size: fileSize(file.size) }));
  } catch (error) {
    notify("error", t("error.export", { message: failureOf(error).message }));
  }
}

/** Puts the picture on the clipboard, as PNG. */
export async function copyPicture() {
  if (doc.value) await putOnClipboard(api.compose(doc.value.id, asked("png", doc.value.layers)));
}

/** @param {Promise<Blob>} file which comes later, so that the browser still knows that a person asked */
async function putOnClipboard(file) {
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": file })]);
    notify("info", t("take.copied"));
  } catch {
    notify("error", t("take.notCopied"));
  }
}

/** @type {(key: number) => string} */
const pictureName = (key) => `${fileName(nameOf(key))}.png`;

/**
 * Downloads a layer or group as it is seen, trimmed, under its name.
 * @param {number} key
 */
export function saveLayer(key) {
  pictureOf(key)?.toBlob((file) => file && downloadBlob(file, pictureName(key)));
}

/**
 * Puts a layer or group on the clipboard, as PNG.
 * @param {number} key
 */
export async function copyLayer(key) {
  const picture = pictureOf(key);
  if (!picture) return;
  /** @type {Promise<Blob>} */
  const file = new Promise((resolve, reject) => picture.toBlob((blob) => (blob ? resolve(blob) : reject())));
  await putOnClipboard(file);
}

/**
 * What a drag of a layer or group out of the page takes along, for browsers that make a file of it.
 * @param {DataTransfer} data
 * @param {number} key
 */
export function fillDrag(data, key) {
  const { id } = doc.value ?? {};
  if (!id) return;
  // What is not sent yet would not be in the file.
  void flush();
  const address = new URL(urls.element(id, key), location.href).href;
  data.effectAllowed = "copy";
  data.setData("DownloadURL", `image/png:${pictureName(key)}:${address}`);
  data.setData("text/uri-list", address);
}

/**
 * A layer or group as it is seen, trimmed; `null` where there is nothing.
 * @param {number} key
 */
function pictureOf(key) {
  const box = seenAt(key);
  if (!box) return null;
  const [x, y] = [Math.floor(box.x), Math.floor(box.y)];
  const picture = sheet({ width: Math.ceil(box.x + box.width) - x, height: Math.ceil(box.y + box.height) - y });
  const context = contextOf(picture);
  context.translate(-x, -y);
  for (const layer of partsAt(key)) drawLayer(context, layer);
  return picture;
}

/**
 * @param {Blob} file
 * @param {string} name
 */
function downloadBlob(file, name) {
  const url = URL.createObjectURL(file);
  download(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/**
 * A name without what file systems forbid.
 * @param {string} name
 */
export const fileName = (name) => name.replace(/[\\/:*?"<>|\p{Cc}]+/gu, " ").replace(/\s+/g, " ").trim() || "layer";

/** Names of the layers with words that files have as pixels. */
export function pixelWords() {
  const keys = known.value?.pixel_text ?? [];
  return layersNow().filter((layer) => keys.includes(layer.key)).map(layerTitle);
}
