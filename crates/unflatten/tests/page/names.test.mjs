// What layers and groups are called.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { groupTitle, layerTitle, shortTitle, wholeTitle } from "../../../../frontend/js/editor/names.js";
import { language } from "../../../../frontend/js/lib/i18n.js";
import { layer } from "./layers.mjs";

beforeEach(() => (language.value = "en"));

const labelled = (label, fields = {}) => layer(1, { ...fields, info: { label, ...fields.info } });
const CIRCLE = { thing: "circle", colour: "yellow", number: 2 };

/** A text layer whose name the service cut. */
const text = (words, fields = {}) => layer(1, { name: words.slice(0, 48), ...fields, info: { name: words.slice(0, 48), kind: "text", text: words, ...fields.info } });

test("what a layer shows is said in the page's language", () => {
  assert.equal(layerTitle(labelled(CIRCLE)), "Yellow circle 2");
  assert.equal(layerTitle(labelled({ thing: "traffic_light" })), "Traffic light");
  language.value = "ko";
  assert.equal(layerTitle(labelled(CIRCLE)), "노란색 원 2");
  assert.equal(layerTitle(labelled({ thing: "person", number: 1 })), "사람 1");
  assert.equal(layerTitle(labelled({ thing: "objects", colour: "red", number: null })), "빨간색 개체들");
});

test("a name that somebody gave wins", () => {
  language.value = "ko";
  assert.equal(layerTitle(labelled(CIRCLE, { name: "해" })), "해");
  assert.equal(shortTitle(labelled(CIRCLE, { name: "해" })), "해");
});

test("what the page has no words for keeps the service's name", () => {
  assert.equal(layerTitle(layer(1)), "Layer 1");
  assert.equal(layerTitle(labelled({ thing: "of_a_newer_service" })), "Layer 1");
  assert.equal(layerTitle(labelled({ thing: "circle", colour: "ultraviolet" })), "Ultraviolet circle");
  assert.equal(layerTitle(labelled(null)), "Layer 1");
});

test("a text layer keeps its words, whatever its label", () => {
  assert.equal(layerTitle(text("Autumn night", { info: { label: { thing: "headline" } } })), "Autumn night");
  const unread = layer(1, { info: { kind: "text", text: null, label: { thing: "headline" } } });
  assert.equal(layerTitle(unread), "Headline");
});

test("words are cut in a list alone, after four of them or 24 characters", () => {
  const long = text("The quick brown fox jumps over the lazy dog\nand runs away from here");
  assert.equal(shortTitle(long), "The quick brown fox…");
  assert.equal(wholeTitle(long), "The quick brown fox jumps over the lazy dog and runs away from here");
  assert.equal(shortTitle(text("Autumn night")), "Autumn night");
  assert.equal(shortTitle(text("Internationalisation of everything")), "Internationalisation of…");
  assert.equal(shortTitle(text("가나다라마바사아자차카타파하가나다라마바사아자차카타파하")), "가나다라마바사아자차카타파하가나다라마바사아자차…");
  assert.equal(shortTitle(text("🎈".repeat(30))), `${"🎈".repeat(24)}…`, "no half of a character is left");
  assert.equal(shortTitle(text("Sale, now, here, on, us")), "Sale, now, here, on…");
  const given = text("The quick brown fox jumps over the lazy dog", { name: "A very long name that somebody gave to it" });
  assert.equal(shortTitle(given), "A very long name that somebody gave to it");
});

test("groups that the service makes are named in the page's language until somebody renames them", () => {
  const group = { key: 1, name: "People", given: "People", code: "people" };
  assert.equal(groupTitle(group), "People");
  language.value = "ko";
  assert.equal(groupTitle(group), "사람");
  assert.equal(groupTitle({ ...group, name: "가족" }), "가족");
  assert.equal(groupTitle({ key: 1, name: "Aliens", given: "Aliens", code: "aliens" }), "Aliens");
});

test("the group of a split layer is called as the layer was", () => {
  language.value = "ko";
  assert.equal(groupTitle({ key: 1, name: "Yellow circle 2", given: "Yellow circle 2", label: CIRCLE }), "노란색 원 2");
  assert.equal(groupTitle({ key: 1, name: "해", given: "Yellow circle 2", label: CIRCLE }), "해");
  assert.equal(groupTitle({ key: 1, name: "Layer 1" }), "Layer 1");
});
