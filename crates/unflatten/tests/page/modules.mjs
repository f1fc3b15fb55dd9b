// A hook of node's: scripts of the page are modules.
export function load(url, context, next) {
  return next(url, url.includes("/frontend/js/") ? { ...context, format: "module" } : context);
}
