"use strict";

// What happens between the tap and WeChat's popup, on the real platform; the phone is as strict as WeChat.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { aPhone, launch, real } = require("./world.js");

const REPORT = "authorizations";
// The world's other scene, with a template of its own.
const OTHER = "booked";
const [FIRST, SECOND] = real.planned;
const ACCEPTED = { errMsg: "requestSubscribeMessage:ok", [FIRST]: "accept", [SECOND]: "accept" };

/** Something in the way, until it is released. */
function aHold() {
  let release;
  const hold = new Promise((resolve) => {
    release = resolve;
  });
  return { hold, release };
}

async function ready() {
  const phone = aPhone();
  const notify = launch(phone);
  const { data: plan } = await notify.prefetch(real.scene);
  return { phone, notify, plan };
}

test("a client that asks its server inside the tap loses the tap", async () => {
  const { phone, notify } = await ready();
  const said = await phone.tap(async () => {
    const plan = await notify.prefetch(real.scene);
    return new Promise((resolve) => {
      wx.requestSubscribeMessage({ tmplIds: plan.data.template_ids, success: resolve, fail: resolve });
    });
  });
  assert.deepEqual(said, {
    errMsg: "requestSubscribeMessage:fail can only be invoked by user TAP gesture.",
  });
});

test("even one await between the tap and the popup loses the tap", async () => {
  const { phone, notify } = await ready();
  const reply = await phone.tap(async () => {
    await null;
    return notify.ask(real.scene);
  });
  assert.equal(reply.data.reason, "failed");
  assert.deepEqual(phone.popups, []);
});

test("asking calls WeChat in the very turn of the tap", async () => {
  const { phone, notify } = await ready();
  phone.policy = () => null;
  phone.tap(() => void notify.ask(real.scene));
  assert.deepEqual(phone.open.ids, real.planned);
  phone.answer("accept");
  await phone.quiet();
});

test("outside of a tap nothing is reported and the plan stays for the next tap", async () => {
  const { phone, notify } = await ready();
  const first = await notify.ask(real.scene);
  assert.equal(first.data.asked, false);
  assert.equal(first.data.message, "requestSubscribeMessage:fail can only be invoked by user TAP gesture.");
  const second = await phone.tap(() => notify.ask(real.scene));
  assert.equal(second.data.asked, true);
  assert.equal(phone.sent(REPORT).length, 1);
});

test("the answer is reported as WeChat gave it", async () => {
  const { phone, notify, plan } = await ready();
  const reply = await phone.tap(() => notify.ask(real.scene));
  const { balances } = reply.data;
  assert.deepEqual(reply, {
    ok: true,
    data: {
      scene: real.scene,
      asked: true,
      reason: "",
      reasons: [],
      message: "",
      results: ACCEPTED,
      errCode: 0,
      offerSettings: false,
      reported: true,
      balances,
    },
  });
  assert.deepEqual(
    balances.map(({ expires_at: _until, ...each }) => each),
    real.planned.map((id) => ({ template_id: id, state: "on", available: 1 }))
  );
  const [{ client_request_id: id, answered_ago_ms: ago, ...body }] = phone.sent(REPORT);
  assert.deepEqual(body, { prompt_id: plan.prompt_id, results: ACCEPTED });
  assert.match(id, /^[A-Za-z0-9_-]{8,64}$/);
  assert.ok(Number.isInteger(ago) && ago >= 0);
});

test("without a plan nothing is asked, and the next tap can ask", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  const first = await phone.tap(() => notify.ask(real.scene));
  assert.equal(first.data.reason, "no_plan");
  await phone.quiet();
  const second = await phone.tap(() => notify.ask(real.scene));
  assert.equal(second.data.asked, true);
});

test("a plan of nothing is a proper answer with its reasons", async () => {
  const { phone, notify } = await ready();
  await notify.setPreferences({ muted: real.planned });
  await phone.quiet();
  const { data } = await phone.tap(() => notify.ask(real.scene));
  assert.deepEqual([data.asked, data.reason], [false, "nothing_to_ask"]);
  assert.deepEqual(
    data.reasons.map((each) => [each.template_id, each.code]),
    real.planned.map((id) => [id, "muted"])
  );
  assert.deepEqual(phone.popups, []);
});

test("two asks at once are one popup and one report", async () => {
  const { phone, notify } = await ready();
  phone.policy = () => null;
  const first = phone.tap(() => notify.ask(real.scene));
  const second = phone.tap(() => notify.ask(real.scene));
  phone.answer("accept");
  assert.deepEqual(await first, await second);
  assert.equal(phone.popups.length, 1);
  assert.equal(phone.sent(REPORT).length, 1);
});

test("after an answer the scene is planned anew, and what was planned before is not used", async () => {
  const { phone, notify } = await ready();
  phone.policy = () => "reject";
  await phone.tap(() => notify.ask(real.scene));
  await phone.quiet();
  const again = await phone.tap(() => notify.ask(real.scene));
  assert.equal(again.data.reason, "nothing_to_ask");
});

test("a plan that was under way while the person answered is not used", async () => {
  const { phone, notify } = await ready();
  phone.policy = () => null;
  const asked = phone.tap(() => notify.ask(real.scene));
  phone.answer("reject");
  // It leaves before the answer is known, and the answer is never planned with: the report does not get through.
  const late = notify.prefetch(real.scene);
  phone.faults = ["offline"];
  await Promise.all([asked, late]);
  const again = await phone.tap(() => notify.ask(real.scene));
  assert.equal(again.data.reason, "no_plan");
});

test("an answer that another client has sent meanwhile is not waited for", async () => {
  const { phone, notify } = await ready();
  const { hold, release } = aHold();
  phone.faults = [{ status: 200, data: { balances: [] }, hold }];
  const first = phone.tap(() => notify.ask(real.scene));
  while (!phone.sent("authorizations").length) await new Promise(setImmediate);
  await notify.prefetch(real.scene);
  const second = phone.tap(() => notify.ask(real.scene));
  while (phone.popups.length < 2) await new Promise(setImmediate);
  await new Promise(setImmediate);
  const [key] = [...phone.storage.keys()].filter((each) => each.endsWith("reports"));
  phone.storage.set(key, JSON.stringify([]));
  release();
  assert.equal((await first).data.reported, true);
  const { data } = await second;
  assert.deepEqual([data.asked, data.reported], [true, false]);
});

test("when the main switch is off that is reported, and settings are offered", async () => {
  const { phone, notify, plan } = await ready();
  phone.mainSwitch = false;
  const { data } = await phone.tap(() => notify.ask(real.scene));
  assert.equal(data.asked, false);
  assert.equal(data.reason, "main_switch_off");
  assert.equal(data.errCode, 20004);
  assert.equal(data.offerSettings, true);
  const [{ client_request_id: _id, answered_ago_ms: _ago, ...body }] = phone.sent(REPORT);
  assert.deepEqual(body, { prompt_id: plan.prompt_id, err_code: 20004 });
});

for (const [code, spoil] of [
  [20001, (phone) => delete phone.templates[SECOND]],
  [20002, (phone) => (phone.templates[SECOND].type = 3)],
]) {
  test(`a plan that WeChat refuses with ${code} is reported by its code`, async () => {
    const { phone, notify } = await ready();
    spoil(phone);
    const { data } = await phone.tap(() => notify.ask(real.scene));
    assert.deepEqual([data.reason, data.errCode, data.reported], ["failed", code, true]);
    assert.equal(phone.sent(REPORT)[0].err_code, code);
  });
}

test("what WeChat filters for its title is reported as filtered", async () => {
  const { phone, notify } = await ready();
  phone.templates[SECOND].title = phone.templates[FIRST].title;
  const { data } = await phone.tap(() => notify.ask(real.scene));
  assert.deepEqual(phone.sent(REPORT)[0].results, { ...ACCEPTED, [SECOND]: "filter" });
  assert.deepEqual(
    data.balances.map((each) => each.available),
    [1, 0]
  );
});

test("a WeChat too old to ask is told apart", async () => {
  const { phone, notify } = await ready();
  delete wx.requestSubscribeMessage;
  const reply = await phone.tap(() => notify.ask(real.scene));
  assert.equal(reply.data.reason, "not_available");
});

test("a callback gets the same reply as the promise", async () => {
  const { phone, notify } = await ready();
  let told;
  const reply = await phone.tap(() =>
    notify.ask(real.scene, (each) => {
      told = each;
    })
  );
  assert.equal(told, reply);
});

test("a phone without promises gets by with callbacks", async () => {
  const { phone, notify } = await ready();
  const kept = globalThis.Promise;
  let told;
  globalThis.Promise = undefined;
  const returned = phone.tap(() =>
    notify.ask(real.scene, (each) => {
      told = each;
    })
  );
  globalThis.Promise = kept;
  await phone.quiet();
  assert.equal(returned, undefined);
  assert.equal(told.data.asked, true);
});

test("a page whose callback fails stops neither the report nor the others", async (t) => {
  const { phone, notify } = await ready();
  const complaints = t.mock.method(console, "error", () => {});
  phone.policy = () => null;
  const first = phone.tap(() =>
    notify.ask(real.scene, () => {
      throw new Error("the page's own mistake");
    })
  );
  const second = notify.ask(real.scene);
  phone.answer("accept");
  assert.equal((await first).ok, true);
  assert.equal((await second).ok, true);
  assert.equal(complaints.mock.callCount(), 1);
  assert.equal(phone.sent(REPORT).length, 1);
});

test("whatever WeChat throws is answered, not thrown, and the next tap can ask", async () => {
  const { phone, notify } = await ready();
  const right = wx.requestSubscribeMessage;
  wx.requestSubscribeMessage = () => {
    throw new TypeError("parameter error");
  };
  const first = await phone.tap(() => notify.ask(real.scene));
  assert.deepEqual([first.ok, first.error.code], [false, "client_error"]);
  wx.requestSubscribeMessage = right;
  const second = await phone.tap(() => notify.ask(real.scene));
  assert.equal(second.data.asked, true);
});

test("a plan stays until its successor is there, in every scene", async () => {
  const { phone, notify } = await ready();
  await notify.prefetch(OTHER);
  phone.faults = [null, "offline", "offline"];
  await notify.reportSettings();
  await phone.quiet();
  for (const scene of [real.scene, OTHER]) {
    const { data } = await phone.tap(() => notify.ask(scene));
    assert.deepEqual([data.asked, data.reported], [true, true]);
  }
});

test("every scene that was prefetched is planned anew", async () => {
  const { phone, notify } = await ready();
  await notify.prefetch(OTHER);
  await notify.setPreferences({ muted: real.planned });
  await phone.quiet();
  const { data } = await phone.tap(() => notify.ask(real.scene));
  assert.equal(data.reason, "nothing_to_ask");
  assert.equal((await phone.tap(() => notify.ask(OTHER))).data.asked, true);
});

test("an answer ends the plan of its own scene only", async () => {
  const { phone, notify } = await ready();
  await notify.prefetch(OTHER);
  phone.faults = ["offline", "offline"];
  await phone.tap(() => notify.ask(real.scene));
  assert.equal((await phone.tap(() => notify.ask(real.scene))).data.reason, "no_plan");
  assert.equal((await phone.tap(() => notify.ask(OTHER))).data.asked, true);
});

test("a plan that was under way is used when the later one does not come", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  await notify.login();
  const { hold, release } = aHold();
  phone.faults = [{ hold }, null, "offline"];
  const first = notify.prefetch(real.scene);
  await notify.reportSettings();
  await new Promise(setImmediate);
  release();
  await first;
  await phone.quiet();
  assert.equal((await phone.tap(() => notify.ask(real.scene))).data.asked, true);
});

test("a plan that comes later than its successor is not used", async () => {
  const { phone, notify, plan } = await ready();
  const { hold, release } = aHold();
  phone.faults = [{ status: 200, data: plan, hold }];
  const late = notify.prefetch(real.scene);
  await notify.setPreferences({ muted: real.planned });
  await notify.prefetch(real.scene);
  release();
  await late;
  assert.equal((await phone.tap(() => notify.ask(real.scene))).data.reason, "nothing_to_ask");
});

test("no more than five scenes are planned anew, the latest, and older plans are let go", async () => {
  const { phone, notify } = await ready();
  const names = Array.from({ length: 5 }, (_, at) => `scene-${at}`);
  for (const name of names) await notify.prefetch(name);
  const before = phone.log.length;
  await notify.reportSettings();
  await phone.quiet();
  const fetched = phone.log.slice(before + 1).map((each) => each.path);
  assert.deepEqual(fetched, names.reverse().map((name) => `prompts?scene=${name}`));
  assert.equal((await phone.tap(() => notify.ask(real.scene))).data.reason, "no_plan");
  await phone.quiet();
});
