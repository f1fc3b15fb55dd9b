// What the page's modules find in a browser, for node: loaded before each test file.
import { register } from "node:module";

// `frontend/` has no package.json that tells node that its scripts are modules: all of it is sent to browsers.
register("./modules.mjs", import.meta.url);

/** As much of a browser's storage as the page uses. */
class Storage {
  #items = new Map();
  getItem(key) {
    return this.#items.get(key) ?? null;
  }
  setItem(key, value) {
    this.#items.set(key, String(value));
  }
  clear() {
    this.#items.clear();
  }
}

const globals = {
  localStorage: new Storage(),
  navigator: { languages: ["en-GB", "en"] },
  location: { href: "http://localhost:8000/", hash: "" },
  document: { documentElement: {}, title: "" },
};
for (const [name, value] of Object.entries(globals)) {
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

const page = new EventTarget();
for (const name of ["addEventListener", "removeEventListener", "dispatchEvent"]) globalThis[name] = page[name].bind(page);
