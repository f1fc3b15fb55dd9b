// @ts-check

/**
 * A value that tells its listeners when it changes.
 * @template T
 * @typedef {object} Signal
 * @property {T} value
 * @property {(listener: (value: T) => void) => () => void} subscribe answers with what ends it
 */

/**
 *     const count = signal(0);
 *     const stop = count.subscribe((n) => console.log(n));
 *     count.value = 1;
 *
 * @template T
 * @param {T} initial
 * @returns {Signal<T>}
 */
export function signal(initial) {
  let current = initial;
  /** @type {Set<(value: T) => void>} */
  const listeners = new Set();
  return {
    get value() {
      return current;
    },
    set value(next) {
      if (Object.is(next, current)) return;
      current = next;
      for (const listener of [...listeners]) listener(next);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

/**
 * A signal that is kept in the browser's storage, where the browser allows it.
 * @template T
 * @param {string} key
 * @param {T} fallback
 * @returns {Signal<T>}
 */
export function stored(key, fallback) {
  const value = signal(/** @type {T} */ (read(key) ?? fallback));
  value.subscribe((next) => write(key, next));
  return value;
}

/**
 * A value from the browser's storage; `null` where there is none that can be read.
 * @param {string} key
 */
export function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null");
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {unknown} value
 */
export function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Private windows and full storage: the page works, it only forgets.
  }
}
