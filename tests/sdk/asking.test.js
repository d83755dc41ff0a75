"use strict";

// What happens between the tap and WeChat's popup. A small platform; the phone is as strict as WeChat.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { aPlan, aSmallWorld, launch } = require("./world.js");

const TAKEN = { balances: [{ template_id: "T1", state: "on", available: 1, expires_at: null }] };

async function ready(t, answers = {}) {
  const phone = await aSmallWorld(t, { "POST authorizations": TAKEN, ...answers });
  const notify = launch(phone);
  await notify.prefetch("order-paid");
  return { phone, notify };
}

test("a client that asks its server inside the tap loses the tap", async (t) => {
  const { phone, notify } = await ready(t);
  const said = await phone.tap(async () => {
    const plan = await notify.prefetch("order-paid");
    return new Promise((resolve) => {
      wx.requestSubscribeMessage({ tmplIds: plan.data.template_ids, success: resolve, fail: resolve });
    });
  });
  assert.deepEqual(said, {
    errMsg: "requestSubscribeMessage:fail can only be invoked by user TAP gesture.",
  });
});

test("even one await between the tap and the popup loses the tap", async (t) => {
  const { phone, notify } = await ready(t);
  const reply = await phone.tap(async () => {
    await null;
    return notify.ask("order-paid");
  });
  assert.equal(reply.data.reason, "failed");
  assert.deepEqual(phone.popups, []);
});

test("asking calls WeChat in the very turn of the tap", async (t) => {
  const { phone, notify } = await ready(t);
  phone.policy = () => null;
  phone.tap(() => void notify.ask("order-paid"));
  assert.deepEqual(phone.open.ids, ["T1"]);
  phone.answer("accept");
  await phone.quiet();
});

test("outside of a tap nothing is reported and the plan stays for the next tap", async (t) => {
  const { phone, notify } = await ready(t);
  const first = await notify.ask("order-paid");
  assert.equal(first.data.asked, false);
  assert.equal(first.data.message, "requestSubscribeMessage:fail can only be invoked by user TAP gesture.");
  const second = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(second.data.asked, true);
  assert.equal(phone.platform.got("POST authorizations").length, 1);
});

test("the answer is reported as WeChat gave it", async (t) => {
  const { phone, notify } = await ready(t);
  const reply = await phone.tap(() => notify.ask("order-paid"));
  const results = { errMsg: "requestSubscribeMessage:ok", T1: "accept" };
  assert.deepEqual(reply, {
    ok: true,
    data: {
      scene: "order-paid",
      asked: true,
      reason: "",
      reasons: [],
      message: "",
      results,
      errCode: 0,
      offerSettings: false,
      reported: true,
      balances: TAKEN.balances,
    },
  });
  const [{ client_request_id: id, answered_ago_ms: ago, ...body }] = phone.platform.got("POST authorizations");
  assert.deepEqual(body, { prompt_id: "p1", results });
  assert.match(id, /^[A-Za-z0-9_-]{8,64}$/);
  assert.ok(Number.isInteger(ago) && ago >= 0);
});

test("without a plan nothing is asked, and the next tap can ask", async (t) => {
  const phone = await aSmallWorld(t, { "POST authorizations": TAKEN });
  const notify = launch(phone);
  const first = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(first.data.reason, "no_plan");
  await phone.quiet();
  const second = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(second.data.asked, true);
});

test("a plan of nothing is a proper answer with its reasons", async (t) => {
  const reasons = [{ template_id: null, code: "scene_off", message: "This scene is switched off." }];
  const { phone, notify } = await ready(t, { "GET prompts": aPlan({ template_ids: [], reasons }) });
  const reply = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(reply.data.reason, "nothing_to_ask");
  assert.deepEqual(reply.data.reasons, reasons);
  assert.deepEqual(phone.popups, []);
});

test("two asks at once are one popup and one report", async (t) => {
  const { phone, notify } = await ready(t);
  phone.policy = () => null;
  const first = phone.tap(() => notify.ask("order-paid"));
  const second = phone.tap(() => notify.ask("order-paid"));
  phone.answer("accept");
  assert.deepEqual(await first, await second);
  assert.equal(phone.popups.length, 1);
  assert.equal(phone.platform.got("POST authorizations").length, 1);
});

test("after an answer the scene is planned anew, and what was planned before is not used", async (t) => {
  const { phone, notify } = await ready(t);
  phone.platform.answers["GET prompts"] = aPlan({ template_ids: [] });
  await phone.tap(() => notify.ask("order-paid"));
  await phone.quiet();
  const again = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(again.data.reason, "nothing_to_ask");
});

test("a plan that was under way while the person answered is not used", async (t) => {
  const { phone, notify } = await ready(t);
  phone.policy = () => null;
  const asked = phone.tap(() => notify.ask("order-paid"));
  phone.answer("reject");
  // It leaves before the answer is known, and the answer is never planned with: the report does not get through.
  const late = notify.prefetch("order-paid");
  phone.faults = ["offline"];
  await Promise.all([asked, late]);
  const again = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(again.data.reason, "no_plan");
});

test("an answer that another client has sent meanwhile is not waited for", async (t) => {
  const { phone, notify } = await ready(t);
  let release;
  const hold = new Promise((resolve) => {
    release = resolve;
  });
  phone.faults = [{ status: 200, data: TAKEN, hold }];
  const first = phone.tap(() => notify.ask("order-paid"));
  while (!phone.sent("authorizations").length) await new Promise(setImmediate);
  await notify.prefetch("order-paid");
  const second = phone.tap(() => notify.ask("order-paid"));
  while (phone.popups.length < 2) await new Promise(setImmediate);
  await new Promise(setImmediate);
  const [key] = [...phone.storage.keys()].filter((each) => each.endsWith("reports"));
  phone.storage.set(key, JSON.stringify([]));
  release();
  assert.equal((await first).data.reported, true);
  const { data } = await second;
  assert.deepEqual([data.asked, data.reported], [true, false]);
});

test("when the main switch is off that is reported, and settings are offered", async (t) => {
  const { phone, notify } = await ready(t);
  phone.mainSwitch = false;
  const { data } = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(data.asked, false);
  assert.equal(data.reason, "main_switch_off");
  assert.equal(data.errCode, 20004);
  assert.equal(data.offerSettings, true);
  const [{ client_request_id: _id, answered_ago_ms: _ago, ...body }] = phone.platform.got("POST authorizations");
  assert.deepEqual(body, { prompt_id: "p1", err_code: 20004 });
});

for (const [ids, code] of [
  [["T1", "LONG"], 20002],
  [["T1", "T2", "T3", "T4", "T5", "T6"], 20003],
  [["UNKNOWN"], 20001],
]) {
  test(`a plan that WeChat refuses with ${code} is reported by its code`, async (t) => {
    const { phone, notify } = await ready(t, { "GET prompts": aPlan({ template_ids: ids }) });
    phone.templates.LONG = { title: "复诊提醒", type: 3 };
    const { data } = await phone.tap(() => notify.ask("order-paid"));
    assert.equal(data.reason, "failed");
    assert.equal(data.errCode, code);
    assert.equal(phone.platform.got("POST authorizations")[0].err_code, code);
  });
}

test("what WeChat filters for its title is reported as filtered", async (t) => {
  const { phone, notify } = await ready(t, { "GET prompts": aPlan({ template_ids: ["T1", "TWIN"] }) });
  phone.templates.TWIN = phone.templates.T1;
  await phone.tap(() => notify.ask("order-paid"));
  const results = { errMsg: "requestSubscribeMessage:ok", T1: "accept", TWIN: "filter" };
  assert.deepEqual(phone.platform.got("POST authorizations")[0].results, results);
});

test("a WeChat too old to ask is told apart", async (t) => {
  const { phone, notify } = await ready(t);
  delete wx.requestSubscribeMessage;
  const reply = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(reply.data.reason, "not_available");
});

test("a callback gets the same reply as the promise", async (t) => {
  const { phone, notify } = await ready(t);
  let told;
  const reply = await phone.tap(() =>
    notify.ask("order-paid", (each) => {
      told = each;
    })
  );
  assert.equal(told, reply);
});

test("a phone without promises gets by with callbacks", async (t) => {
  const { phone, notify } = await ready(t);
  const kept = globalThis.Promise;
  let told;
  globalThis.Promise = undefined;
  const returned = phone.tap(() =>
    notify.ask("order-paid", (each) => {
      told = each;
    })
  );
  globalThis.Promise = kept;
  await phone.quiet();
  assert.equal(returned, undefined);
  assert.equal(told.data.asked, true);
});

test("a page whose callback fails stops neither the report nor the others", async (t) => {
  const { phone, notify } = await ready(t);
  const complaints = t.mock.method(console, "error", () => {});
  phone.policy = () => null;
  const first = phone.tap(() =>
    notify.ask("order-paid", () => {
      throw new Error("the page's own mistake");
    })
  );
  const second = notify.ask("order-paid");
  phone.answer("accept");
  assert.equal((await first).ok, true);
  assert.equal((await second).ok, true);
  assert.equal(complaints.mock.callCount(), 1);
  assert.equal(phone.platform.got("POST authorizations").length, 1);
});

test("whatever WeChat throws is answered, not thrown, and the next tap can ask", async (t) => {
  const { phone, notify } = await ready(t);
  const right = wx.requestSubscribeMessage;
  wx.requestSubscribeMessage = () => {
    throw new TypeError("parameter error");
  };
  const first = await phone.tap(() => notify.ask("order-paid"));
  assert.deepEqual([first.ok, first.error.code], [false, "client_error"]);
  wx.requestSubscribeMessage = right;
  const second = await phone.tap(() => notify.ask("order-paid"));
  assert.equal(second.data.asked, true);
});
