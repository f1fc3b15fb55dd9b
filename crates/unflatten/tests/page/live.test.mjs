import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { follow } from "../../../../frontend/js/lib/live.js";

/** Connections that a test opens and breaks. */
class Socket {
  static all = [];
  closed = false;
  constructor(url) {
    this.url = url;
    Socket.all.push(this);
  }
  static get last() {
    return Socket.all.at(-1);
  }
  send(event) {
    this.onmessage({ data: JSON.stringify(event) });
  }
  close() {
    this.closed = true;
  }
}

let answers = [];
let asked = 0;

// Timers that run when the test says so; node 18 has none to mock.
let timers = [];

const real = { setTimeout, clearTimeout };

beforeEach(() => {
  Socket.all = [];
  answers = [];
  asked = 0;
  timers = [];
  globalThis.WebSocket = Socket;
  globalThis.setTimeout = (run, ms) => timers.push({ run, ms });
  globalThis.clearTimeout = (id) => id && (timers[id - 1] = null);
  globalThis.fetch = async () => {
    asked += 1;
    const answer = answers.shift();
    if (!answer) throw new TypeError("no network");
    return new Response(JSON.stringify(answer.body), { status: answer.status ?? 200 });
  };
});

let stops = [];

afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  Object.assign(globalThis, real);
});

/** Runs the timers that are set, and all that follows at once. */
async function elapse() {
  const due = timers.filter(Boolean);
  timers = timers.map(() => null);
  for (const { run } of due) run();
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  return due.map(({ ms }) => ms);
}

function follower() {
  const heard = { events: [], statuses: [], links: [], gone: [] };
  const stop = follow("id", {
    onEvent: (event) => heard.events.push(event.type + (event.seq ?? "")),
    onStatus: ({ state }) => heard.statuses.push(state),
    onLink: (up) => heard.links.push(up),
    onGone: ({ code }) => heard.gone.push(code),
  });
  stops.push(stop);
  return { heard, stop };
}

test("events come once and in order, positions always", () => {
  const { heard } = follower();
  assert.equal(Socket.last.url, "ws://localhost:8000/api/status/id?after=0");
  Socket.last.onopen();
  for (const event of [{ seq: 1, type: "queued" }, { type: "position", position: 1 }, { seq: 2, type: "started" }, { seq: 1, type: "queued" }, { type: "position", position: 0 }]) {
    Socket.last.send(event);
  }
  assert.deepEqual(heard.events, ["queued1", "position", "started2", "position"]);
  assert.deepEqual(heard.links, [true]);
});

test("a lost connection is made again after the last event that was seen", async () => {
  const { heard } = follower();
  Socket.last.send({ seq: 5, type: "started" });
  answers = [{ body: { state: "running" } }];
  Socket.last.onclose();
  assert.deepEqual(heard.links, [false]);
  assert.equal(Socket.all.length, 1, "not at once");
  await elapse();
  assert.deepEqual(heard.statuses, ["running"]);
  assert.match(Socket.last.url, /after=5$/);
  Socket.last.onopen();
  assert.deepEqual(heard.links, [false, true]);
});

test("waits grow to a limit and begin anew once an event arrives", async () => {
  mock.method(Math, "random", () => 0.5);
  follower();
  Socket.last.onclose();
  const waits = [];
  for (let i = 0; i < 8; i += 1) waits.push(...(await elapse()));
  assert.deepEqual(waits.slice(0, 3).map(Math.round), [400, 720, 1296]);
  assert.equal(waits.at(-1), 8000);
  answers = [{ body: { state: "running" } }];
  await elapse();
  Socket.last.send({ seq: 1, type: "queued" });
  Socket.last.onclose();
  assert.deepEqual((await elapse()).map(Math.round), [400]);
  mock.restoreAll();
});

test("the end of a job ends the following, by an event or by its status", async () => {
  const { heard } = follower();
  Socket.last.send({ seq: 3, type: "succeeded" });
  Socket.last.onclose();
  assert.deepEqual(heard.links, []);
  assert.deepEqual(await elapse(), []);

  const other = follower();
  answers = [{ body: { state: "failed" } }];
  Socket.last.onclose();
  await elapse();
  assert.deepEqual(other.heard.statuses, ["failed"]);
  assert.equal(Socket.all.length, 2, "nothing more to connect for");
});

test("a job that the service does not know is gone", async () => {
  const { heard } = follower();
  answers = [{ status: 404, body: { error: { code: "job_not_found", message: "no such job" } } }];
  Socket.last.onclose();
  await elapse();
  assert.deepEqual(heard.gone, ["job_not_found"]);
  assert.deepEqual(await elapse(), [], "and not asked for again");
});

test("a job that is deleted while it is followed is removed", () => {
  const { heard } = follower();
  Socket.last.send({ type: "removed", job_id: "id", message: "the job was deleted" });
  Socket.last.onclose();
  assert.deepEqual(heard.gone, ["removed"]);
  assert.deepEqual(heard.links, []);
});

test("other refusals are worth another try", async () => {
  const { heard } = follower();
  answers = [{ status: 503, body: {} }, { body: { state: "queued" } }];
  Socket.last.onclose();
  await elapse();
  assert.deepEqual(heard.gone, []);
  await elapse();
  assert.deepEqual(heard.statuses, ["queued"]);
  assert.equal(Socket.all.length, 2);
});

test("when the browser is online again nobody waits", async () => {
  follower();
  dispatchEvent(new Event("online"));
  assert.equal(asked, 0, "the connection stands");
  Socket.last.onclose();
  answers = [{ body: { state: "running" } }];
  dispatchEvent(new Event("online"));
  await elapse();
  assert.equal(asked, 1);
  assert.equal(Socket.all.length, 2);
});

test("who stops hears nothing more", async () => {
  const { heard, stop } = follower();
  stop();
  assert.ok(Socket.last.closed);
  Socket.last.onclose();
  dispatchEvent(new Event("online"));
  assert.deepEqual(await elapse(), []);
  assert.deepEqual(heard, { events: [], statuses: [], links: [], gone: [] });

  const late = follower();
  answers = [{ body: { state: "running" } }];
  Socket.last.onclose();
  const waiting = elapse();
  late.stop();
  await waiting;
  assert.deepEqual(late.heard.statuses, [], "an answer on its way comes too late");
});
