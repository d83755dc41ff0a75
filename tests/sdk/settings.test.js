"use strict";

// WeChat's settings, preferences, profile, conversions and feedback, on the real platform; what was written is counted by
// the test that started this.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { aPhone, launch, real } = require("./world.js");

const [FIRST, SECOND] = real.planned;
const NOTHING = { muted: [], quiet_hours: null, paused_until: null, time_zone: "Asia/Shanghai", templates: [] };
const NIGHT = { from: "22:00", until: "08:00" };

/** A template as the preference centre shows it. */
function shown(id, state, muted) {
  return { template_id: id, title: real.templates[id].title, kind: "one_time", state, muted };
}

/** A moment as the platform writes it. */
function inAMonth() {
  return new Date(Date.now() + 30 * 24 * 3600 * 1000).toISOString().replace(/\.\d+/, "");
}

/** What the next tap would ask for. */
async function planned(notify) {
  const { data } = await notify.prefetch(real.scene);
  return data.template_ids;
}

test("WeChat's settings are reported as they came, and planned with", async () => {
  const phone = aPhone();
  phone.alwaysKeep = { [SECOND]: "accept", [FIRST]: "accept", SYS_MSG_TYPE_RANK: "reject" };
  const notify = launch(phone);
  const kept = [FIRST, SECOND].map((id) => ({ template_id: id, answer: "accept" }));
  assert.deepEqual(await notify.reportSettings(), { ok: true, data: { main_switch: true, always_keep: kept } });
  assert.deepEqual(phone.sent("wechat-settings"), [{ mainSwitch: true, itemSettings: phone.alwaysKeep }]);
  const plan = await notify.prefetch(real.scene);
  assert.deepEqual([plan.data.template_ids, plan.data.silent_top_up], [[FIRST, SECOND], true]);
});

test("a WeChat too old to tell its settings is told apart", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  wx.getSetting = ({ success }) => success({ errMsg: "getSetting:ok", authSetting: {} });
  const reply = await notify.reportSettings();
  assert.deepEqual([reply.ok, reply.error.code], [false, "not_available"]);
});

test("what was changed in WeChat's settings is reported, and the scene is planned anew", async () => {
  const phone = aPhone();
  phone.mainSwitch = false;
  const notify = launch(phone);
  await notify.reportSettings();
  assert.deepEqual(await planned(notify), []);
  phone.openedSettings = () => {
    phone.mainSwitch = true;
  };
  const reply = await phone.tap(() => notify.openSettings());
  assert.deepEqual(reply, { ok: true, data: { main_switch: true, always_keep: [] } });
  await phone.quiet();
  const { data } = await phone.tap(() => notify.ask(real.scene));
  assert.deepEqual([data.asked, data.reported], [true, true]);
});

test("WeChat's settings open only inside a tap", async () => {
  const reply = await launch(aPhone()).openSettings();
  assert.deepEqual([reply.ok, reply.error.code], [false, "settings_failed"]);
});

test("preferences are read and changed, by a method that wx.request knows", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  assert.deepEqual(await notify.preferences(), { ok: true, data: NOTHING });
  const wished = { muted: [FIRST], quiet_hours: NIGHT, paused_until: inAMonth() };
  const changed = { ...NOTHING, ...wished, templates: [shown(FIRST, "none", true)] };
  assert.deepEqual(await notify.setPreferences(wished), { ok: true, data: changed });
  assert.deepEqual(await notify.setPreferences({ quiet_hours: null }), { ok: true, data: { ...changed, quiet_hours: null } });
  assert.deepEqual(await notify.preferences(), { ok: true, data: { ...changed, quiet_hours: null } });
  assert.deepEqual(phone.log.map((each) => each.method), ["POST", "GET", "POST", "POST", "GET"]);
});

test("a wish that makes no sense is refused, with the input that is wrong", async () => {
  const reply = await launch(aPhone()).setPreferences({ quiet_hours: { from: "08:00", until: "08:00" } });
  const { code, fields, status } = reply.error;
  assert.deepEqual([reply.ok, code, Object.keys(fields), status], [false, "bad_quiet_hours", ["quiet_hours"], 400]);
});

test("what the person has changed is planned with at once", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  assert.deepEqual(await planned(notify), [FIRST, SECOND]);
  await notify.setPreferences({ muted: [FIRST] });
  await phone.quiet();
  const { data } = await phone.tap(() => notify.ask(real.scene));
  assert.deepEqual(Object.keys(data.results).sort(), [SECOND, "errMsg"].sort());
});

test("a profile is changed bit by bit, and read by changing nothing", async () => {
  const notify = launch(aPhone());
  const empty = { nickname: "", region: "", city: "", time_zone: "", interests: [] };
  const told = { nickname: "晴天", region: "广东", city: "深圳", interests: ["水果"] };
  assert.deepEqual(await notify.setProfile({}), { ok: true, data: empty });
  assert.deepEqual(await notify.setProfile(told), { ok: true, data: { ...empty, ...told } });
  const moved = { ...empty, ...told, time_zone: "Asia/Urumqi" };
  assert.deepEqual(await notify.setProfile({ time_zone: "Asia/Urumqi" }), { ok: true, data: moved });
  assert.equal((await notify.preferences()).data.time_zone, "Asia/Urumqi");
});

test("feedback is reported of the person's own card, and the latest word counts", async () => {
  const phone = aPhone({ openid: real.card.openid });
  const notify = launch(phone);
  const { nk } = real.card;
  assert.deepEqual(await notify.feedback(nk, "useful"), { ok: true, data: { kind: "useful" } });
  assert.deepEqual(await notify.feedback(nk, "too_often", "一天三条"), { ok: true, data: { kind: "too_often" } });
  assert.deepEqual(phone.sent("feedback"), [
    { nk, kind: "useful" },
    { nk, kind: "too_often", text: "一天三条" },
  ]);
});

test("nobody speaks of somebody else's card", async () => {
  const reply = await launch(aPhone()).feedback(real.card.nk, "irrelevant");
  assert.deepEqual([reply.ok, reply.error.code], [false, "not_your_card"]);
});

test("a conversion is reported, and kept with its id when that does not work", async () => {
  const phone = aPhone({ openid: real.card.openid });
  const notify = launch(phone);
  const { nk } = real.card;
  await notify.login();
  phone.faults = ["timeout"];
  const first = await notify.convert("order", { value: 29.9, nk });
  assert.deepEqual(first, { ok: true, data: { reported: false, attributed: false } });
  phone.show();
  await phone.quiet();
  const [sent, again, ...more] = phone.sent("conversions");
  assert.deepEqual(more, []);
  assert.deepEqual(again, sent);
  const { client_request_id: id, ...body } = sent;
  assert.deepEqual(body, { goal: "order", value: 29.9, nk });
  assert.match(id, /^[A-Za-z0-9_-]{8,64}$/);
});

test("a conversion counts for the card that led there, when it is the person's own", async () => {
  const { nk } = real.card;
  const credit = async (openid, more) => (await launch(aPhone({ openid })).convert("signup", more)).data;
  assert.deepEqual(await credit(real.card.openid, { nk, value: "5.50" }), { reported: true, attributed: true });
  assert.deepEqual(await credit(undefined, { nk }), { reported: true, attributed: false });
  assert.deepEqual(await credit(real.card.openid), { reported: true, attributed: false });
});

test("a conversion that the platform refuses is told and not kept", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  const reply = await notify.convert("order", { value: -1 });
  assert.deepEqual([reply.ok, reply.error.code, Object.keys(reply.error.fields)], [false, "invalid", ["value"]]);
  phone.show();
  await phone.quiet();
  assert.equal(phone.sent("conversions").length, 1);
});

test("whatever wx.getSetting throws after the settings were open is answered", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  wx.getSetting = () => {
    throw new TypeError("parameter error");
  };
  const reply = await phone.tap(() => notify.openSettings());
  assert.deepEqual([reply.ok, reply.error.code], [false, "settings_failed"]);
});
