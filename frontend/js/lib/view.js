/**
 * Base of our elements: listens to signals only while it is on the page.
 *
 * A child defines `mount()`, called whenever it is put on the page.
 */
export class View extends HTMLElement {
  #stops = [];

  connectedCallback() {
    this.mount();
  }

  disconnectedCallback() {
    for (const stop of this.#stops.splice(0)) stop();
    this.unmount?.();
  }

  /** Runs `effect` now and after each change of one of the signals. */
  watch(signals, effect) {
    for (const one of signals) this.#stops.push(one.subscribe(() => effect()));
    effect();
  }

  /** Listens on something that outlives this element. */
  listen(target, type, listener, options) {
    target.addEventListener(type, listener, options);
    this.#stops.push(() => target.removeEventListener(type, listener, options));
  }

  find(selector) {
    return this.querySelector(selector);
  }
}

/** Calls `listener(event, match)` for events of `type` on descendants that match. */
export function delegate(root, type, selector, listener) {
  root.addEventListener(type, (event) => {
    const match = event.target.closest?.(selector);
    if (match && root.contains(match)) listener(event, match);
  });
}
