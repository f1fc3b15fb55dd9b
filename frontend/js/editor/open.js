// @ts-check
import { closeBitmaps, loadBitmaps } from "./bitmaps.js";
import "./typesetting.js";
import { foldLong, resetDisplay } from "./display.js";
import { doc, layersNow } from "./document.js";
import { forgetDrawn } from "./drawn.js";
import { elementsFrom, layersFrom } from "./elements.js";
import { startHistory, take } from "./history.js";
import { startOutbox, stopOutbox } from "./outbox.js";
import { closeResampled } from "./resampled.js";

/**
 * Brings a document to the page. Its pixels arrive one layer after another.
 * @param {import("../types.js").DocumentInfo} info
 */
export function openDocument(info) {
  closeDocument();
  const shown = startOutbox(info, { onOther: take, elements: () => elementsFrom(layersNow()) });
  const { job_id: id, width, height } = shown;
  doc.value = { id, width, height, layers: layersFrom(shown) };
  startHistory(shown);
  foldLong(doc.value.layers);
}

// Layers also come by undoing, by a split, and from others.
doc.subscribe((now) => now && loadBitmaps(now.layers));

export function closeDocument() {
  stopOutbox();
  closeBitmaps();
  closeResampled();
  forgetDrawn();
  doc.value = null;
  resetDisplay();
  startHistory();
}
