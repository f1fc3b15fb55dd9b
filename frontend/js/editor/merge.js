// @ts-check
import { isGroup } from "./elements.js";

/**
 * Two changes of one document put together.
 *
 * @typedef {import("../types.js").Element_} Element
 */

/**
 * What somebody made of `base` here, and somebody else there: of each field the change that there is, of two changes
 * the one that was made here.
 * @param {Element[]} base
 * @param {Element[]} mine
 * @param {Element[]} theirs
 * @returns {Element[]}
 */
export function merged(base, mine, theirs) {
  const [before, here, there] = [base, mine, theirs].map((elements) => new Map(elements.map((one) => [one.id, one])));
  /** @type {Map<number, Element>} */
  const kept = new Map();
  for (const id of new Set([...here.keys(), ...there.keys()])) {
    const [was, own, other] = [before.get(id), here.get(id), there.get(id)];
    const one = own && other ? mergedElement(was ?? other, own, other) : own ?? other;
    // Deleted on one side: gone, unless the other side changed it.
    if (one && (own && other || !was || !isSame(one, was))) kept.set(id, one);
  }
  const order = (/** @type {Element[]} */ elements) => elements.map(({ id }) => id).filter((id) => kept.has(id));
  const isMoved = !isSame(order(mine), order(base));
  const [first, second] = isMoved ? [mine, theirs] : [theirs, mine];
  const ids = new Set([...order(first), ...order(second)]);
  return rooted([...ids].flatMap((id) => kept.get(id) ?? []));
}

/**
 * @param {Element} base
 * @param {Element} mine
 * @param {Element} theirs
 * @returns {Element}
 */
function mergedElement(base, mine, theirs) {
  return { ...mergedFields(base, mine, theirs), edit: mergedFields(base.edit, mine.edit, theirs.edit) };
}

/**
 * @template {Record<string, any>} T
 * @param {T} base
 * @param {T} mine
 * @param {T} theirs
 * @returns {T}
 */
function mergedFields(base, mine, theirs) {
  /** @type {Record<string, any>} */
  const out = {};
  for (const field of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
    const value = isSame(mine[field], base[field]) ? theirs[field] : mine[field];
    if (value !== undefined) out[field] = value;
  }
  return /** @type {T} */ (out);
}

/**
 * Elements whose group went with the other side's change stand by themselves.
 * @param {Element[]} elements
 * @returns {Element[]}
 */
function rooted(elements) {
  const groups = new Set(elements.filter(isGroup).map(({ id }) => id));
  return elements.map((one) => (one.parent === undefined || groups.has(one.parent) ? one : { ...one, parent: undefined }));
}

/** @type {(one: unknown, other: unknown) => boolean} */
export const isSame = (one, other) => canonical(one) === canonical(other);

/**
 * JSON in which fields that are absent, null or false are alike, whatever their order.
 * @param {unknown} value
 */
function canonical(value) {
  return JSON.stringify(value, (_, inner) => {
    if (inner === null || typeof inner !== "object" || Array.isArray(inner)) return inner;
    const entries = Object.entries(inner).filter(([, one]) => one !== undefined && one !== null && one !== false);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
