// @ts-check

/**
 * Base of our elements: listens to signals only while it is on the page.
 *
 * A child defines `mount()`, called whenever it is put on the page.
 */
export class View extends HTMLElement {
  /** @type {(() => void)[]} */
  #stops = [];

  connectedCallback() {
    this.mount();
  }

  disconnectedCallback() {
    for (const stop of this.#stops.splice(0)) stop();
    this.unmount();
  }

  mount() {}

  unmount() {}

  /**
   * Runs `effect` now and after each change of one of the signals.
   * @param {{ subscribe: (listener: () => void) => () => void }[]} signals
   * @param {() => void} effect
   */
  watch(signals, effect) {
    for (const one of signals) this.#stops.push(one.subscribe(() => effect()));
    effect();
  }

  /**
   * Listens on something that outlives this element.
   * @template {keyof DocumentEventMap} Type
   * @param {Document} target
   * @param {Type} type
   * @param {(event: DocumentEventMap[Type]) => void} listener
   */
  listen(target, type, listener) {
    target.addEventListener(type, listener);
    this.#stops.push(() => target.removeEventListener(type, listener));
  }

  /**
   * The descendant that matches, which must be there: `find("button", HTMLButtonElement)`.
   * @template {HTMLElement} [Type=HTMLElement]
   * @param {string} selector
   * @param {new () => Type} [type]
   */
  find(selector, type) {
    return within(this, selector, type);
  }
}

/**
 * The descendant of `root` that matches, which must be there.
 * @template {HTMLElement} [Type=HTMLElement]
 * @param {Element} root
 * @param {string} selector
 * @param {new () => Type} [type]
 * @returns {Type}
 */
export function within(root, selector, type) {
  const found = root.querySelector(selector);
  if (!(found instanceof (type ?? HTMLElement))) throw new Error(`<${root.localName}> has no ${selector}`);
  return /** @type {Type} */ (found);
}

/**
 * The element at or around an event's target that matches, or `null`.
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function closest(event, selector) {
  return event.target instanceof Element ? event.target.closest(selector) : null;
}

/**
 * Whether the menu of an element was asked for with a key, and not at a point of it.
 * @param {MouseEvent & { pointerType?: string }} event of type `contextmenu`
 */
export const isFromKeyboard = ({ button, pointerType }) => button !== 2 && pointerType !== "touch";

/**
 * Calls `listener(event, match)` for events of `type` on descendants that match.
 * @template {keyof HTMLElementEventMap} Type
 * @param {HTMLElement} root
 * @param {Type} type
 * @param {string} selector
 * @param {(event: HTMLElementEventMap[Type], match: HTMLElement) => void} listener
 */
export function delegate(root, type, selector, listener) {
  root.addEventListener(type, (event) => {
    const match = closest(event, selector);
    if (match && root.contains(match)) listener(event, match);
  });
}
