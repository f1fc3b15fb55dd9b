// @ts-check
import { fileSize, number, t } from "./lib/i18n.js";
import { capabilities } from "./state.js";

/** @type {Record<string, string>} */
const BY_EXTENSION = { png: "png", jpg: "jpeg", jpeg: "jpeg", webp: "webp", gif: "gif", bmp: "bmp", tif: "tiff", tiff: "tiff", avif: "avif" };

/** @type {Record<string, string>} */
const SHOWN = { png: "PNG", jpeg: "JPEG", webp: "WebP", gif: "GIF", bmp: "BMP", tiff: "TIFF", avif: "AVIF" };

export function formatNames() {
  const formats = capabilities.value?.formats ?? Object.keys(SHOWN);
  return formats.map((format) => SHOWN[format] ?? format.toUpperCase());
}

export function acceptAttribute() {
  return "image/png,image/jpeg,image/webp,image/gif,image/bmp,image/tiff,image/avif,.png,.jpg,.jpeg,.webp,.gif,.bmp,.tif,.tiff,.avif";
}

/**
 * The format that a file says it has; `null` where it does not say.
 * @param {File} file
 */
function formatOf(file) {
  const fromType = /^image\/(?:x-ms-)?([a-z]+)$/.exec(file.type)?.[1];
  const extension = file.name.split(".").at(-1) ?? "";
  return fromType ?? BY_EXTENSION[extension.toLowerCase()] ?? null;
}

/**
 * Why a file cannot be sent, in words; `null` if it can. The service checks
 * again, by the bytes.
 * @param {File} file
 */
export async function problemWith(file) {
  const name = file.name || t("file.pasted");
  if (file.size === 0) return t("file.empty", { name });
  const format = formatOf(file);
  const { limits, formats } = capabilities.value ?? {};
  if (limits && file.size > limits.max_file_size_bytes) {
    return t("file.tooLarge", { name, size: fileSize(file.size), limit: fileSize(limits.max_file_size_bytes) });
  }
  if (format === null || (formats && !formats.includes(format))) {
    return t("file.wrongType", { name, formats: formatNames().join(", ") });
  }
  return limits ? tooManyPixels(file, name, limits.max_pixels) : null;
}

/**
 * @param {File} file
 * @param {string} name
 * @param {number} limit
 */
async function tooManyPixels(file, name, limit) {
  const url = URL.createObjectURL(file);
  try {
    const picture = new Image();
    picture.src = url;
    // Only the header is needed, and `decode()` would read it all.
    await new Promise((resolve, reject) => {
      picture.onload = resolve;
      picture.onerror = reject;
    });
    const pixels = picture.naturalWidth * picture.naturalHeight;
    if (pixels <= limit) return null;
    /** @param {number} count */
    const mega = (count) => number(count / 1e6, { maximumFractionDigits: 1 });
    return t("file.tooManyPixels", { name, pixels: mega(pixels), limit: mega(limit) });
  } catch {
    // The browser cannot read every format that the service can: leave it to the service.
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/**
 * The files in a drop or a paste, folders and text left out.
 * @param {DataTransfer | null} transfer
 */
export function filesIn(transfer) {
  return transfer ? [...transfer.files] : [];
}
