// The words of layers: changed as data, one block at a time.
import assert from "node:assert/strict";
import { test } from "node:test";

import { layerTitle, wholeTitle } from "../../../../frontend/js/editor/names.js";
import { blocksOf, countIn, replaced, resized, restyled, reworded, styleOf, wordsIn, wordsOf } from "../../../../frontend/js/editor/words.js";
import { layer } from "./layers.mjs";

const style = (size) => ({
  family: "Jua", weight: 400, slant: "upright", size, line_height: size * 1.2, letter_spacing: 2, fill: { colour: "#102030" },
});

/** A block with lines of these sizes. */
function text(...lines) {
  return {
    lines: lines.map(([words, size]) => ({ runs: [{ text: words, style: style(size) }] })),
    align: "left", angle: 0, position: { x: 10, y: 40 },
  };
}

function words(...blocks) {
  const read = blocks.map((one) => ({ text: one, bounding_box: { x: 10, y: 20, width: 50, height: 20 }, lines: [] }));
  return layer(3, { name: "봄날", info: { name: "봄날", text: "봄날\nJazz", kind: "text", live_text: { blocks: read, overlap: 0.9 } } });
}

test("words keep the style of their line", () => {
  const found = reworded(text(["봄날", 60], ["Jazz", 30]), "바다\r\nJazz\n\n끝\t!");
  assert.equal(wordsOf(found), "바다\nJazz\n\n끝 !");
  assert.deepEqual(found.lines.map((line) => line.runs[0].style.size), [60, 30, 30, 30]);
});

test("edited blocks stand beside those that are as they were read", () => {
  const [first, second] = [text(["봄날", 60]), text(["Jazz", 30])];
  const edited = { ...words(first, second), text: { 1: reworded(second, "재즈") } };
  assert.deepEqual(blocksOf(edited).map((block) => wordsOf(block.text)), ["봄날", "재즈"]);
  assert.equal(wordsIn(edited), "봄날\n재즈");
  assert.equal(wordsIn(words(first, second)), "봄날\nJazz");
  assert.deepEqual([layerTitle(edited), wholeTitle(edited)], ["봄날 재즈", "봄날 재즈"]);
  assert.equal(layerTitle({ ...edited, name: "Title" }), "Title", "a name that somebody gave stays");
});

test("a layer without live text has the words that it was given", () => {
  const given = { ...layer(3), text: { 0: text(["새 글", 20]) } };
  assert.deepEqual(blocksOf(given).map(({ number, read }) => [number, read]), [[0, null]]);
  assert.equal(wordsIn(given), "새 글");
  assert.deepEqual(blocksOf(layer(3)), []);
});

test("letters of another size have spaces and lines to match", () => {
  const gradient = { start: { x: 0, y: -10 }, end: { x: 20, y: 0 }, stops: [] };
  const before = restyled(text(["봄", 60], ["날", 30]), () => ({ fill: { gradient } }));
  const found = resized(before, 30);
  assert.deepEqual(found.lines.map((line) => line.runs[0].style.size), [30, 15]);
  const { line_height, letter_spacing, fill } = styleOf(found);
  assert.deepEqual([line_height, letter_spacing, fill.gradient.end], [36, 1, { x: 10, y: 0 }]);
});

test("words are found and replaced in a line of several styles too", () => {
  const mixed = text(["2026 봄 2026", 60]);
  mixed.lines.push({ runs: [{ text: "20", style: style(20) }, { text: "26!", style: style(30) }] });
  assert.deepEqual([countIn(mixed, "2026"), countIn(mixed, ""), countIn(mixed, "가을")], [3, 0, 0]);
  const found = replaced(mixed, "2026", "2027");
  assert.equal(wordsOf(found), "2027 봄 2027\n2027!");
  assert.deepEqual(found.lines[1].runs.map((run) => [run.text, run.style.size]), [["2027!", 20]]);
  assert.equal(wordsOf(replaced(mixed, "봄", "$&")), "2026 $& 2026\n2026!");
});
