/**
 * A value that tells its listeners when it changes.
 *
 *     const count = signal(0);
 *     const stop = count.subscribe((n) => console.log(n));
 *     count.value = 1;
 */
export function signal(initial) {
  let current = initial;
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
      return () => listeners.delete(listener);
    },
  };
}

/** A signal that is kept in the browser's storage, where the browser allows it. */
export function stored(key, fallback) {
  const value = signal(read(key) ?? fallback);
  value.subscribe((next) => write(key, next));
  return value;
}

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

function write(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Private windows and full storage: the page works, it only forgets.
  }
}
