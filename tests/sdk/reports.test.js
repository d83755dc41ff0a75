"use strict";

// Reports that must arrive, once: the real platform counts.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { aClock, aPhone, launch, real } = require("./world.js");

const REPORT = "authorizations";

async function ready(given) {
  const phone = aPhone(given);
  const notify = launch(phone);
  await notify.prefetch(real.scene);
  return { phone, notify };
}

/** How many messages the platform could send, by its own books. */
async function available(notify) {
  const { data } = await notify.subscriptions();
  return data.subscriptions.reduce((sum, each) => sum + each.available, 0);
}

async function tapped(phone, notify) {
  const reply = await phone.tap(() => notify.ask(real.scene));
  await phone.quiet();
  return reply;
}

test("from nothing to a consent that counts", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  const session = await notify.login();
  assert.equal(session.ok, true);
  const plan = await notify.prefetch(real.scene);
  assert.deepEqual(plan.data.template_ids, real.planned);
  assert.equal(plan.data.words, real.words);
  const { data } = await tapped(phone, notify);
  assert.equal(data.reported, true);
  assert.deepEqual(
    data.balances.map((each) => [each.template_id, each.state, each.available]),
    real.planned.map((id) => [id, "on", 1])
  );
  assert.equal(await available(notify), real.planned.length);
});

test("a refusal is reported, and the platform stops asking", async () => {
  const { phone, notify } = await ready();
  phone.policy = () => "reject";
  await tapped(phone, notify);
  const plan = await notify.prefetch(real.scene);
  assert.deepEqual(plan.data.template_ids, []);
  assert.deepEqual(new Set(plan.data.reasons.map((each) => each.code)).has("rejected_recently"), true);
  assert.equal(await available(notify), 0);
});

test("the main switch is known to the platform after WeChat has refused to ask", async () => {
  const { phone, notify } = await ready();
  phone.mainSwitch = false;
  const { data } = await tapped(phone, notify);
  assert.deepEqual([data.reason, data.offerSettings, data.reported], ["main_switch_off", true, true]);
  const plan = await notify.prefetch(real.scene);
  assert.deepEqual(plan.data.reasons.map((each) => each.code), ["main_switch_off"]);
});

test("a report that did not get out survives a reload and counts once", async (t) => {
  const clock = aClock(t);
  const { phone, notify } = await ready();
  phone.faults = ["offline"];
  const { data } = await tapped(phone, notify);
  assert.deepEqual([data.asked, data.reported], [true, false]);

  clock.ahead = 90_000;
  const later = launch(phone);
  await later.login();
  await phone.quiet();

  const [first, second, ...more] = phone.sent(REPORT);
  assert.deepEqual(more, []);
  assert.equal(second.client_request_id, first.client_request_id);
  assert.deepEqual(second.results, first.results);
  assert.ok(second.answered_ago_ms >= first.answered_ago_ms + 90_000);
  assert.equal(await available(later), real.planned.length);
});

test("a report whose answer got lost is sent again and counts once", async () => {
  const { phone, notify } = await ready();
  phone.faults = ["timeout"];
  const { data } = await tapped(phone, notify);
  assert.equal(data.reported, false);
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent(REPORT).length, 2);
  assert.equal(new Set(phone.sent(REPORT).map((each) => each.client_request_id)).size, 1);
  assert.equal(await available(notify), real.planned.length);
});

for (const status of [500, 502, 503]) {
  test(`a report met by ${status} is sent again`, async () => {
    const { phone, notify } = await ready();
    phone.faults = [{ status, data: "<html>" }];
    assert.equal((await tapped(phone, notify)).data.reported, false);
    phone.show();
    await phone.quiet();
    assert.equal(await available(notify), real.planned.length);
  });
}

test("a page of somebody's network in between is no answer of the platform", async () => {
  const { phone, notify } = await ready();
  phone.faults = [{ status: 404, data: "<html>no such page" }, { status: 200, data: "<html>sign in to the wifi" }];
  assert.equal((await tapped(phone, notify)).data.reported, false);
  phone.show();
  await phone.quiet();
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent(REPORT).length, 3);
  assert.equal(await available(notify), real.planned.length);
});

test("when the platform asks to wait nothing is sent until then", async (t) => {
  const clock = aClock(t);
  const { phone, notify } = await ready();
  const error = { code: "throttled", message: "Too many.", fields: {} };
  phone.faults = [{ status: 429, header: { "retry-after": "30" }, data: { error } }];
  assert.equal((await tapped(phone, notify)).data.reported, false);
  clock.ahead = 29_000;
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent(REPORT).length, 1);
  clock.ahead = 31_000;
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent(REPORT).length, 2);
  assert.equal(await available(notify), real.planned.length);
});

test("a phone whose clock was set back reports an answer of this moment", async (t) => {
  const clock = aClock(t);
  const { phone, notify } = await ready();
  phone.faults = ["offline"];
  await tapped(phone, notify);
  clock.ahead = -3_600_000;
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent(REPORT)[1].answered_ago_ms, 0);
  assert.equal(await available(notify), real.planned.length);
});

test("what the platform refuses for good is told and not sent again", async () => {
  const { phone, notify } = await ready();
  phone.faults = ["offline"];
  await tapped(phone, notify);
  const [key] = [...phone.storage.keys()].filter((each) => each.endsWith("reports"));
  const [report] = JSON.parse(phone.storage.get(key));
  report.body.prompt_id = "of somebody else";
  phone.storage.set(key, JSON.stringify([report]));
  phone.show();
  await phone.quiet();
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent(REPORT).length, 2);
  assert.deepEqual(JSON.parse(phone.storage.get(key)), []);
});

test("an answer older than a week is let go without asking", async (t) => {
  const clock = aClock(t);
  const { phone, notify } = await ready();
  phone.faults = ["offline"];
  await tapped(phone, notify);
  clock.ahead = 7 * 24 * 3600 * 1000 + 1;
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent(REPORT).length, 1);
  assert.equal(await available(notify), 0);
});

test("several kept reports arrive in the order in which they were given", async () => {
  const { phone, notify } = await ready();
  for (const word of ["accept", "accept", "reject"]) {
    phone.policy = () => word;
    // The plan is fetched; the reports that are tried along with it meet with trouble.
    phone.faults = [null, "offline"];
    await notify.prefetch(real.scene);
    await phone.quiet();
    phone.offline = true;
    await tapped(phone, notify);
    phone.offline = false;
  }
  const before = phone.sent(REPORT).length;
  phone.faults = [];
  phone.show();
  await phone.quiet();
  const words = phone.sent(REPORT).slice(before).map((each) => each.results[real.planned[0]]);
  assert.deepEqual(words, ["accept", "accept", "reject"]);
  assert.equal(await available(notify), 2 * real.planned.length);
});

test("no more than fifty reports are kept, the newest", async () => {
  const { phone, notify } = await ready();
  const [key] = [...phone.storage.keys()].map((each) => each.replace("session", "reports"));
  const body = { prompt_id: "p", results: {} };
  const old = Array.from({ length: 50 }, (_, at) => ({ id: `old-report-${at}`, path: REPORT, body, at: Date.now() }));
  phone.storage.set(key, JSON.stringify(old));
  phone.offline = true;
  await tapped(phone, notify);
  const kept = JSON.parse(phone.storage.get(key));
  assert.equal(kept.length, 50);
  assert.equal(kept[0].id, "old-report-1");
});

test("a phone whose storage is full still reports", async () => {
  const { phone, notify } = await ready();
  phone.storageIsFull = true;
  phone.faults = ["offline"];
  assert.equal((await tapped(phone, notify)).data.reported, false);
  phone.show();
  await phone.quiet();
  assert.equal(await available(notify), real.planned.length);
});

test("two clients of one app on one phone lose nothing of each other", async () => {
  const { phone, notify } = await ready();
  const other = launch(phone);
  await other.prefetch(real.scene);
  phone.offline = true;
  await tapped(phone, notify);
  await phone.tap(() => other.ask(real.scene));
  phone.offline = false;
  const later = launch(phone);
  await later.login();
  await phone.quiet();
  assert.equal(await available(later), 2 * real.planned.length);
});

test("a write that fails loses no report that is stored", async () => {
  const { phone, notify } = await ready();
  phone.offline = true;
  await tapped(phone, notify);
  phone.offline = false;
  const later = launch(phone);
  phone.storageIsFull = true;
  phone.faults = [null, "offline"];
  await later.opened({ nk: real.card.nk });
  await phone.quiet();
  phone.storageIsFull = false;
  await later.login();
  await phone.quiet();
  assert.equal(await available(later), real.planned.length);
});

test("a report that only memory holds outlasts other writes that succeed", async () => {
  const { phone, notify } = await ready();
  phone.storageIsFull = true;
  phone.offline = true;
  await tapped(phone, notify);
  phone.storageIsFull = false;
  phone.offline = false;
  phone.faults = [null, "offline"];
  await notify.opened({ nk: real.card.nk });
  await phone.quiet();
  phone.show();
  await phone.quiet();
  assert.equal(await available(notify), real.planned.length);
});

test("a report that the platform fails at keeps back no other, and is still sent again", async () => {
  const { phone, notify } = await ready();
  const error = { code: "server_error", message: "Something went wrong here.", fields: {} };
  const failing = { status: 500, data: { error } };
  phone.offline = true;
  for (const goal of ["first", "second"]) await notify.convert(goal);
  phone.offline = false;
  const before = phone.sent("conversions").length;
  const goals = () => phone.sent("conversions").slice(before).map((each) => each.goal);

  phone.faults = [failing];
  phone.show();
  await phone.quiet();
  phone.faults = [null, failing];
  phone.show();
  await phone.quiet();
  assert.deepEqual(goals(), ["first", "second", "first"]);

  phone.faults = [null, failing];
  const { data } = await notify.convert("third");
  await phone.quiet();
  assert.equal(data.reported, true);
  phone.show();
  await phone.quiet();
  assert.deepEqual(goals().slice(3), ["third", "first", "first"]);
  phone.show();
  await phone.quiet();
  assert.equal(goals().length, 6);
  assert.equal(new Set(phone.sent("conversions").map((each) => each.client_request_id)).size, 3);
});

test("a phone whose wx.request throws keeps the report and sends it later", async () => {
  const { phone, notify } = await ready();
  const right = wx.request;
  wx.request = () => {
    throw new TypeError("parameter error");
  };
  const { data } = await tapped(phone, notify);
  assert.deepEqual([data.asked, data.reported], [true, false]);
  phone.show();
  wx.request = right;
  phone.show();
  await phone.quiet();
  assert.equal(await available(notify), real.planned.length);
});
