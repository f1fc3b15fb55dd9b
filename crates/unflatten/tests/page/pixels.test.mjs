import assert from "node:assert/strict";
import { test } from "node:test";

import { boxes, margins, withEffects } from "../../../../frontend/js/pixels/effects.js";
import { resize } from "../../../../frontend/js/pixels/resize.js";
import { turn, turnedBox } from "../../../../frontend/js/pixels/turn.js";
import { make } from "../../../../frontend/js/pixels/worker.js";

/** A picture from what each pixel is. */
function picture(width, height, pixel) {
  const data = new Uint8ClampedArray(4 * width * height);
  for (let y = 0; y < height; y += 1) for (let x = 0; x < width; x += 1) data.set(pixel(x, y), 4 * (y * width + x));
  return { width, height, data };
}

const at = ({ data, width }, x, y) => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4)];
const sample = picture(7, 4, (x, y) => [x * 30, y * 60, 90, x === 0 ? 80 : 255]);

test("quarter turns move pixels and change none", () => {
  assert.deepEqual(turnedBox(sample, 90), { x: 1, y: -2, width: 4, height: 7 });
  const once = turn(sample, 90);
  assert.deepEqual(at(once, 3, 0), at(sample, 0, 0));
  assert.deepEqual(at(once, 0, 6), at(sample, 6, 3));
  assert.deepEqual(turn(once, -90), sample);
  assert.deepEqual(turn(turn(sample, 180), -180), sample);
  assert.deepEqual(turn(sample, 360), sample);
});

test("other turns cover the same area and bleed no colour", () => {
  const framed = picture(44, 24, (x, y) => (x >= 2 && x < 42 && y >= 2 && y < 22 ? [255, 0, 0, 255] : [0, 255, 0, 0]));
  const { data, width, height } = turn(framed, 30);
  assert.deepEqual([width, height], [52, 44]);
  let area = 0;
  for (let n = 0; n < data.length; n += 4) {
    area += data[n + 3] / 255;
    if (data[n + 3] > 0) assert.deepEqual([...data.subarray(n, n + 3)], [255, 0, 0]);
  }
  assert.ok(Math.abs(area - 800) < 6, `${area}`);
});

test("flat colours stay, and a transparent neighbour does not bleed", () => {
  const half = picture(64, 64, (x) => (x < 32 ? [255, 0, 0, 255] : [0, 255, 0, 0]));
  for (const size of [{ width: 33, height: 47 }, { width: 150, height: 150 }]) {
    const { data } = resize(half, size);
    assert.equal(data.length, 4 * size.width * size.height);
    for (let n = 0; n < data.length; n += 4) assert.ok(data[n + 1] === 0 && (data[n + 3] < 3 || data[n] >= 254));
  }
  const faint = resize(picture(16, 16, () => [200, 100, 50, 3]), { width: 8, height: 8 });
  assert.deepEqual(at(faint, 4, 4), [200, 100, 50, 3]);
});

test("an order is scaled, then turned", () => {
  const made = make({ id: 1, picture: sample, size: { width: 14, height: 4 }, turn: 90, effects: null });
  assert.deepEqual([made.width, made.height], [4, 14]);
  assert.equal(make({ id: 2, picture: sample, size: sample, turn: 0, effects: null }).data, sample.data);
});

const square = picture(10, 10, () => [200, 40, 40, 255]);

test("an outline is as wide as was asked, and round at corners", () => {
  const outline = { width: 4, colour: "#000000" };
  const found = withEffects(square, { outline });
  assert.deepEqual([found.left, found.above, found.width, found.height], [5, 5, 20, 20]);
  assert.deepEqual(at(found, 10, 10), [200, 40, 40, 255]);
  assert.deepEqual([at(found, 1, 10), at(found, 18, 10), at(found, 0, 10)], [[0, 0, 0, 255], [0, 0, 0, 255], [0, 0, 0, 0]]);
  assert.deepEqual([at(found, 2, 2)[3], at(found, 1, 1)[3]], [193, 0]);
  const half = withEffects(square, { outline: { ...outline, colour: "#0000ff80" } });
  assert.deepEqual(at(half, 2, 10), [0, 0, 255, 128]);
});

test("a shadow lies beside its picture and keeps its mass", () => {
  const shadow = { dx: 12, dy: -3.4, blur: 6, colour: "#000000", opacity: 0.5 };
  const found = withEffects(square, { shadow });
  let mass = 0;
  for (let y = 0; y < found.height; y += 1) {
    for (let x = 0; x < found.width; x += 1) {
      const own = x >= found.left && x < found.left + 10 && y >= found.above && y < found.above + 10;
      if (!own) mass += at(found, x, y)[3] / 255;
    }
  }
  assert.ok(mass > 38 && mass < 50, `${mass}`);
  const hard = withEffects(square, { shadow: { ...shadow, blur: 0 } });
  assert.deepEqual([hard.width, hard.height, at(hard, 21, 0)], [22, 13, [0, 0, 0, 128]]);
  assert.deepEqual(margins({}), { left: 0, above: 0, right: 0, below: 0 });
  for (const blur of [1, 10, 200]) {
    const variance = boxes(blur).reduce((sum, reach) => sum + ((2 * reach + 1) ** 2 - 1) / 12, 0);
    assert.ok(Math.abs(Math.sqrt(variance) - blur / 2) < 0.55);
  }
});
