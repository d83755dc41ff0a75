"use strict";

// WeChat's settings, preferences, profile, conversions and feedback, against a small platform that answers as agreed.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { aSmallWorld, launch } = require("./world.js");

const SETTINGS = { main_switch: true, always_keep: [{ template_id: "T1", answer: "accept" }] };
const PREFERENCES = {
  muted: ["T1"],
  quiet_hours: { from: "22:00", until: "08:00" },
  paused_until: null,
  time_zone: "Asia/Shanghai",
  templates: [{ template_id: "T1", title: "发货通知", kind: "one_time", state: "on", muted: true }],
};

test("WeChat's settings are reported as they came", async (t) => {
  const phone = await aSmallWorld(t, { "PUT wechat-settings": SETTINGS });
  phone.alwaysKeep = { T1: "accept" };
  assert.deepEqual(await launch(phone).reportSettings(), { ok: true, data: SETTINGS });
  const given = { mainSwitch: true, itemSettings: { T1: "accept" } };
  assert.deepEqual(phone.platform.got("PUT wechat-settings"), [given]);
});

test("a WeChat too old to tell its settings is told apart", async (t) => {
  const phone = await aSmallWorld(t);
  const notify = launch(phone);
  wx.getSetting = ({ success }) => success({ errMsg: "getSetting:ok", authSetting: {} });
  const reply = await notify.reportSettings();
  assert.deepEqual([reply.ok, reply.error.code], [false, "not_available"]);
});

test("what was changed in WeChat's settings is reported, and the scene is planned anew", async (t) => {
  const phone = await aSmallWorld(t, { "PUT wechat-settings": SETTINGS });
  const notify = launch(phone);
  await notify.prefetch("order-paid");
  phone.mainSwitch = false;
  phone.openedSettings = () => {
    phone.mainSwitch = true;
  };
  const reply = await phone.tap(() => notify.openSettings());
  await phone.quiet();
  assert.deepEqual(reply, { ok: true, data: SETTINGS });
  assert.deepEqual(phone.platform.got("PUT wechat-settings"), [{ mainSwitch: true }]);
  assert.equal(phone.platform.got("GET prompts").length, 2);
});

test("WeChat's settings open only inside a tap", async (t) => {
  const phone = await aSmallWorld(t);
  const reply = await launch(phone).openSettings();
  assert.deepEqual([reply.ok, reply.error.code], [false, "settings_failed"]);
});

test("preferences are read and changed, by a method that wx.request knows", async (t) => {
  const phone = await aSmallWorld(t, { "GET preferences": PREFERENCES, "PATCH preferences": PREFERENCES });
  const notify = launch(phone);
  assert.deepEqual(await notify.preferences(), { ok: true, data: PREFERENCES });
  assert.deepEqual(await notify.setPreferences({ quiet_hours: null }), { ok: true, data: PREFERENCES });
  assert.deepEqual(phone.platform.got("PATCH preferences"), [{ quiet_hours: null }]);
  assert.deepEqual(phone.log.map((each) => each.method), ["POST", "GET", "POST"]);
});

test("what the person has changed is planned with at once", async (t) => {
  const phone = await aSmallWorld(t, { "PATCH preferences": PREFERENCES });
  const notify = launch(phone);
  await notify.prefetch("order-paid");
  await notify.setPreferences({ muted: ["T1"] });
  await phone.quiet();
  assert.equal(phone.platform.got("GET prompts").length, 2);
});

test("a profile is changed", async (t) => {
  const profile = { nickname: "晴天", region: "广东", city: "深圳", time_zone: "Asia/Shanghai", interests: ["水果"] };
  const phone = await aSmallWorld(t, { "PATCH profile": profile });
  assert.deepEqual(await launch(phone).setProfile({ city: "深圳" }), { ok: true, data: profile });
  assert.deepEqual(phone.platform.got("PATCH profile"), [{ city: "深圳" }]);
});

test("feedback is reported", async (t) => {
  const phone = await aSmallWorld(t, { "POST feedback": { kind: "useful" } });
  const notify = launch(phone);
  assert.deepEqual(await notify.feedback("2f.key", "useful"), { ok: true, data: { kind: "useful" } });
  await notify.feedback("2f.key", "too_often", "一天三条");
  assert.deepEqual(phone.platform.got("POST feedback"), [
    { nk: "2f.key", kind: "useful" },
    { nk: "2f.key", kind: "too_often", text: "一天三条" },
  ]);
});

test("a conversion is reported, and kept with its id when that does not work", async (t) => {
  const phone = await aSmallWorld(t, { "POST conversions": { attributed: true } });
  const notify = launch(phone);
  await notify.login();
  phone.faults = ["timeout"];
  const first = await notify.convert("order", { value: 29.9, nk: "2f.key" });
  assert.deepEqual(first, { ok: true, data: { reported: false, attributed: false } });
  phone.show();
  await phone.quiet();
  const [sent, again, ...more] = phone.platform.got("POST conversions");
  assert.deepEqual(more, []);
  assert.deepEqual(again, sent);
  const { client_request_id: id, ...body } = sent;
  assert.deepEqual(body, { goal: "order", value: 29.9, nk: "2f.key" });
  assert.match(id, /^[A-Za-z0-9_-]{8,64}$/);
  assert.deepEqual(await notify.convert("signup"), { ok: true, data: { reported: true, attributed: true } });
});
