// @ts-check

/**
 * Saves what is at an address as a file.
 * @param {string} href
 * @param {string} name
 */
export function download(href, name) {
  const link = document.createElement("a");
  link.href = href;
  link.download = name;
  link.click();
}
