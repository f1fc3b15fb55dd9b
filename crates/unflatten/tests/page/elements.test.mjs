// The document of the service, and what the page makes of it.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { fold, folded, unfold } from "../../../../frontend/js/editor/display.js";
import { doc, layersNow, nameOf, partsAt } from "../../../../frontend/js/editor/document.js";
import { elementsFrom, layersFrom } from "../../../../frontend/js/editor/elements.js";
import { merged } from "../../../../frontend/js/editor/merge.js";
import { closeDocument, openDocument } from "../../../../frontend/js/editor/open.js";
import { keysOf, outline } from "./layers.mjs";
import { Service, element, groupElement, info, metadata } from "./service.mjs";

beforeEach(() => {
  closeDocument();
  localStorage.clear();
});

/** A result with a group that the service made, and a layer that was split, whose parts lie at (30, 40). */
function split() {
  const part = (id, number) => ({ ...element(id, { parent: 2 }), layer: { job_id: "child", layer: number } });
  const elements = [
    element(0, { locked: true }),
    groupElement(100, { group: "text" }),
    element(1, { parent: 100, edit: { x: 7, name: "제목" } }),
    element(2, { parent: 100, child: "child", edit: { opacity: 0.5 } }),
    part(900, 0), part(901, 1),
  ];
  const results = [
    { job_id: "job", x: 0, y: 0, metadata: metadata(4) },
    { job_id: "child", x: 30, y: 40, metadata: metadata(2) },
  ];
  return info(elements, { results });
}

test("elements become layers in groups, and the same elements again", () => {
  const layers = layersFrom(split());
  assert.deepEqual(keysOf(layers), [0, 1, 900, 901]);
  assert.equal(outline(layers), "0 Text(1 Layer 2(900 901))");
  assert.deepEqual([layers[0].locked, layers[1].x, layers[1].name], [true, 7, "제목"]);
  const [text, inner] = layers[2].groups;
  assert.deepEqual([text.code, inner.opacity, inner.split], ["text", 0.5, { layer: { job_id: "job", layer: 2 }, child: "child" }]);
  assert.deepEqual([layers[2].job, layers[2].origin], ["child", { x: 30, y: 40 }]);
  const plain = (elements) => elements.map(({ locked, ...one }) => ({ ...one, ...(locked ? { locked } : {}) }));
  assert.deepEqual(plain(elementsFrom(layers)), split().elements);
});

test("groups that somebody made keep their name, others have one by themselves", () => {
  const layers = layersFrom(info([groupElement(7, { edit: { name: "배너" } }), element(0, { parent: 7 }), groupElement(8), element(1, { parent: 8 })]));
  assert.deepEqual(layers.map(({ groups }) => groups[0].name), ["배너", "Group"]);
  assert.deepEqual(elementsFrom(layers).map(({ edit }) => edit.name), ["배너", undefined, "Group", undefined]);
});

test("an element shows a picture in place of a layer, or by itself", () => {
  const id = `${"ab".repeat(20)}-30x20`;
  const sun = groupElement(77, { picture: { id, x: -5, y: 6, kind: "object" }, edit: { name: "Sun", x: 2 } });
  const elements = [element(0), element(1, { picture: { id } }), sun, groupElement(78, { picture: { id } })];
  const [, second, third, fourth] = layersFrom(info(elements));
  assert.deepEqual([second.info.bounding_box, second.name, second.origin], [{ x: 0, y: 0, width: 30, height: 20 }, "Layer 1", { x: 0, y: 0 }]);
  assert.deepEqual([third.info.bounding_box.x, third.info.kind, third.name, third.made], [-5, "object", "Sun", null]);
  assert.deepEqual([fourth.name, fourth.groups], ["Picture", []]);
  const again = elementsFrom(layersFrom(info(elements)));
  assert.deepEqual(again[1].layer, { job_id: "job", layer: 1 });
  assert.deepEqual(again.map(({ picture }) => picture), elements.map(({ picture }) => picture));
  assert.deepEqual(merged(elements, elements, elements).length, 4);
});

test("layers of results that are not known are left out", () => {
  const lost = { ...element(5), layer: { job_id: "lost", layer: 0 } };
  assert.deepEqual(keysOf(layersFrom(info([element(0), lost]))), [0]);
});

test("a document is opened as the service has it", () => {
  new Service(split());
  openDocument(split());
  assert.deepEqual([doc.value.width, doc.value.height], [640, 480]);
  assert.equal(nameOf(2), "Layer 2");
  assert.equal(nameOf(100), "Text");
  assert.deepEqual(keysOf(partsAt(100)), [1, 900, 901]);
  closeDocument();
  assert.deepEqual(layersNow(), []);
});

test("a long list begins with its groups folded", () => {
  for (const [count, wanted] of [[20, 0], [21, 1]]) {
    const elements = Array.from({ length: count }, (_, at) => element(at, at > 0 ? { parent: 100 } : {}));
    elements.splice(1, 0, groupElement(100, { group: "objects" }));
    const results = [{ job_id: "job", x: 0, y: 0, metadata: metadata(count) }];
    openDocument(info(elements, { results }));
    assert.equal(folded.value.size, wanted);
  }
  const [key] = folded.value;
  fold(key);
  assert.equal(folded.value.size, 0);
  fold(key);
  unfold([1, key]);
  assert.equal(folded.value.size, 0);
});

// Two changes of one document.

const base = [element(0), groupElement(9), element(1, { parent: 9 }), element(2, { parent: 9 })];
const changed = (id, edit, fields = {}) => base.map((one) => (one.id === id ? { ...one, ...fields, edit: { ...one.edit, ...edit } } : one));
const ids = (elements) => elements.map(({ id }) => id);

test("changes of different fields are both made, and of the same one the own", () => {
  const both = merged(base, changed(1, { x: 5 }), changed(1, { opacity: 0.5, x: 3 }));
  assert.deepEqual([both[2].edit.x, both[2].edit.opacity], [5, 0.5]);
  const others = merged(base, changed(1, { x: 5 }), changed(2, { visible: false }));
  assert.deepEqual([others[2].edit.x, others[3].edit.visible], [5, false]);
  assert.deepEqual(merged(base, base, changed(2, { y: 1 })), changed(2, { y: 1 }));
});

test("what one side deleted is gone, unless the other changed it", () => {
  const without = base.filter(({ id }) => id !== 1);
  assert.deepEqual(ids(merged(base, without, base)), [0, 9, 2]);
  assert.deepEqual(ids(merged(base, base, without)), [0, 9, 2]);
  assert.deepEqual(ids(merged(base, changed(1, { x: 1 }), without)).sort(), [0, 1, 2, 9]);
});

test("an order is the one of who changed it, and what is new is in it", () => {
  const [ground, group, one, two] = base;
  const turned = [ground, group, two, one];
  assert.deepEqual(ids(merged(base, turned, base)), [0, 9, 2, 1]);
  assert.deepEqual(ids(merged(base, base, turned)), [0, 9, 2, 1]);
  assert.deepEqual(ids(merged(base, turned, [...base, element(3)])), [0, 9, 2, 1, 3]);
  assert.deepEqual(ids(merged(base, [...base, element(3)], turned)).sort(), [0, 1, 2, 3, 9]);
});

test("nothing is left in a group that went", () => {
  const ungrouped = base.filter(({ id }) => id !== 9).map(({ parent: _, ...one }) => one);
  const both = merged(base, ungrouped, changed(1, { x: 3 }));
  assert.ok(both.every(({ parent }) => parent === undefined), JSON.stringify(both));
});
