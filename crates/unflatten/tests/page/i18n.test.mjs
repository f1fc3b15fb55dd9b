import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { beforeEach, test } from "node:test";

import { en } from "../../../../frontend/js/i18n/en.js";
import { ko } from "../../../../frontend/js/i18n/ko.js";
import { ago, duration, fileSize, language, messageOf, percent, reasonOf, refusal, say, t, tOr } from "../../../../frontend/js/lib/i18n.js";

const PAGE = new URL("../../../../frontend/js/", import.meta.url);
const words = { en, ko };

beforeEach(() => (language.value = "en"));

/** Gives `message.<code>` words for one test. */
function withMessage(code, texts, run) {
  for (const [tag, text] of Object.entries(texts)) words[tag][`message.${code}`] = text;
  try {
    run();
  } finally {
    for (const tag of Object.keys(texts)) delete words[tag][`message.${code}`];
  }
}

test("the browser's language is the page's", () => {
  assert.equal(language.value, "en");
  language.value = "ko";
  assert.equal(document.documentElement.lang, "ko");
});

test("values are filled in, those that are not there are left", () => {
  assert.equal(t("progress.step", { step: 3, total: 50 }), "step 3 of 50");
  assert.equal(t("progress.step", { step: 0 }), "step 0 of {total}");
  assert.equal(t("notice.queued", { name: "{name}" }), "“{name}” is in the queue.");
  assert.equal(t("notice.queued", { name: "$& 포스터.png" }), "“$& 포스터.png” is in the queue.");
});

test("what has no words is shown as it is", () => {
  assert.equal(t("no.such.key"), "no.such.key");
  assert.equal(tOr("stage.new_stage", "new stage"), "new stage");
  assert.equal(tOr("stage.save", "save"), "Saving the layers");
  language.value = "xx";
  assert.equal(t("dialog.cancel"), "Cancel", "an unknown language reads English");
});

test("a message is said in the page's language by its code", () => {
  const message = { code: "timed_out", text: "the job ran longer than 60 s" };
  assert.equal(say(message), en["message.timed_out"]);
  language.value = "ko";
  assert.equal(say(message), ko["message.timed_out"]);
});

test("a message without words for its code is said in the service's", () => {
  assert.equal(say({ code: "of_a_newer_service", text: "something new" }), "something new");
  assert.equal(say({ code: null, text: "no code" }), "no code");
  assert.equal(say({ text: "no code" }), "no code");
  assert.equal(say({ code: "of_a_newer_service" }), "");
  assert.equal(say({}), "");
  assert.equal(say(null), "");
  assert.equal(say(undefined), "");
});

test("notes of older results are plain strings", () => {
  language.value = "ko";
  assert.equal(say("The prompt was ignored."), "The prompt was ignored.");
  assert.equal(say(""), "");
});

test("a message that has words in one language alone falls back to the text in the other", () => {
  withMessage("test", { en: "In English." }, () => {
    assert.equal(say({ code: "test", text: "the text" }), "In English.");
    language.value = "ko";
    assert.equal(say({ code: "test", text: "the text" }), "the text");
  });
});

test("data is filled in by the unit that its name ends in", () => {
  const texts = { en: "{needed_bytes}, {took_ms}, {limit_s}, {count}, {engine}, {stage}, {why}", ko: "{engine}: {count}" };
  const data = { needed_bytes: 2_500_000, took_ms: 1500, limit_s: 120, count: 12000, engine: "draft", stage: "save", why: "<b>" };
  withMessage("test", texts, () => {
    assert.equal(say({ code: "test", data }), "2.5 MB, 1.5 sec, 2 min 0 sec, 12,000, Draft, Saving the layers, <b>");
    language.value = "ko";
    assert.equal(say({ code: "test", data }), "초안: 12,000");
    assert.equal(say({ code: "test", data: { engine: "new", count: 0 } }), "new: 0");
  });
});

test("a message whose data is not all there is said in the service's words", () => {
  withMessage("test", { en: "{width} x {height}" }, () => {
    assert.equal(say({ code: "test", text: "too wide", data: { width: 1 } }), "too wide");
    assert.equal(say({ code: "test", text: "too wide", data: { width: 1, height: null } }), "too wide");
    assert.equal(say({ code: "test", text: "too wide", data: null }), "too wide");
    assert.equal(say({ code: "test", data: { width: 1 } }), "1 x {height}", "better than nothing");
  });
});

test("reasons and failures are messages", () => {
  assert.deepEqual(reasonOf({ reason: "why", reason_code: "asked_for", reason_data: { x: 1 } }), { code: "asked_for", text: "why", data: { x: 1 } });
  assert.equal(say(reasonOf({ reason: "why" })), "why");
  assert.equal(say(messageOf({ code: "input_gone", message: "gone" })), en["message.input_gone"]);
});

test("a refusal is told in Korean by its code, in English by the service", () => {
  const error = { code: "queue_full", message: "50 jobs are waiting" };
  assert.equal(refusal(error), "50 jobs are waiting");
  language.value = "ko";
  assert.equal(refusal(error), ko["refusal.queue_full"]);
  assert.equal(refusal({ code: "unheard_of", message: "m" }), "m");
  assert.equal(refusal({}), undefined);
});

test("numbers are shown as people read them", () => {
  assert.equal(percent(0), "0%");
  assert.equal(percent(0.004), "0.4%");
  assert.equal(percent(1), "100%");
  assert.equal(fileSize(0), "0 byte");
  assert.equal(fileSize(999), "999 byte");
  assert.equal(fileSize(1e6), "1 MB");
  assert.equal(fileSize(5e15), "5,000,000 GB");
  assert.equal(duration(-5), "0 sec");
  assert.equal(duration(9500), "9.5 sec");
  assert.equal(duration(3_720_000), "1 hr 2 min");
  assert.match(ago(new Date(Date.now() - 180_000).toISOString()), /3 minutes ago/);
  assert.match(ago(new Date(Date.now() - 86_400_000 * 400).toISOString()), /400 days ago/);
});

// The tables.

const placesIn = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

test("both languages have the same words with the same places", () => {
  for (const [key, text] of Object.entries(en)) {
    assert.ok(ko[key], `Korean lacks ${key}`);
    assert.deepEqual(placesIn(ko[key]), placesIn(text), key);
  }
  for (const key of Object.keys(ko)) assert.ok(key in en || key.startsWith("refusal."), `English lacks ${key}`);
});

test("Korean is Korean", () => {
  // Names of programs, formats and the like.
  const alike = new Set(["app.title", "engine.qwen", "engine.vertex", "name.pattern", "take.ora"]);
  for (const [key, text] of Object.entries(ko)) assert.ok(alike.has(key) || /[가-힣]/.test(text), `${key}: ${text}`);
});

/** All scripts of the page but the tables. */
function sources(folder = PAGE) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "i18n") return [];
    if (entry.isDirectory()) return sources(new URL(`${entry.name}/`, folder));
    return entry.name.endsWith(".js") ? [readFileSync(new URL(entry.name, folder), "utf8")] : [];
  });
}

test("the page asks for no words that are not there, and there are none that it does not ask for", () => {
  const code = sources().join("\n");
  const literal = new Set([...code.matchAll(/"([a-z]+(?:\.[A-Za-z]+)+)"/g)].map(([, key]) => key));
  const asked = [...code.matchAll(/\bt(?:Or)?\("([^"]+)"/g)].map(([, key]) => key);
  assert.ok(asked.length > 100, "the page asks for words in another way than this test knows");
  for (const key of asked) assert.ok(key in en, `no words for ${key}`);
  // `stage.${name}`, `options.${name}Hint`: any key that fits.
  const patterns = [...code.matchAll(/`([a-z]*[.$][^`\s<]*)`/g)]
    .map(([, template]) => template)
    .filter((template) => template.includes("${"))
    .map((template) => new RegExp(`^${template.replace(/\$\{[^}]*(?:\{[^}]*\})?[^}]*\}/g, "\u0000").replace(/[.*+?^$()|[\]\\]/g, "\\$&").replaceAll("\u0000", "[A-Za-z0-9_]+")}$`));
  const unused = Object.keys(en).filter((key) => !literal.has(key) && !patterns.some((pattern) => pattern.test(key)));
  assert.deepEqual(unused, []);
});
