"use strict";

// The example's own pages, each loaded and touched as WeChat would.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");

const { SDK, aSmallWorld } = require("./world.js");

const EXAMPLE = path.join(SDK, "example");
const config = JSON.parse(fs.readFileSync(path.join(EXAMPLE, "app.json"), "utf8"));
const TAKEN = { balances: [{ template_id: "T1", state: "on", available: 1, expires_at: null }] };
const SETTINGS = { main_switch: true, always_keep: [] };
const PREFERENCES = {
  muted: [],
  quiet_hours: null,
  paused_until: null,
  time_zone: "Asia/Shanghai",
  templates: [
    { template_id: "T1", title: "发货通知", kind: "one_time", state: "on", muted: false },
    { template_id: "T2", title: "预约提醒", kind: "one_time", state: "on", muted: true },
  ],
};
const ANSWERS = {
  "POST authorizations": TAKEN,
  "PUT wechat-settings": SETTINGS,
  "POST visits": { deed: "visit" },
  "POST opens": { deed: "open" },
  "POST conversions": { attributed: false },
  "GET preferences": PREFERENCES,
  "PATCH preferences": (body) => ({ ...PREFERENCES, ...body }),
};

/** Load a file of the example freshly and return what it hands to App() or Page(). */
function load(file, register) {
  let given;
  globalThis[register] = (each) => {
    given = each;
  };
  const whole = path.join(EXAMPLE, file);
  delete require.cache[require.resolve(whole)];
  require(whole);
  return given;
}

/** The example starts on a phone whose platform it believes to be notify.example.com. */
async function start(t, launch = { path: "pages/order/order", query: {} }) {
  const phone = await aSmallWorld(t, ANSWERS);
  const { request } = phone.wx;
  phone.wx.request = (given) =>
    request({ ...given, url: given.url.replace("https://notify.example.com", phone.platform.url) });
  globalThis.wx = phone.wx;
  delete require.cache[path.join(SDK, "notify.js")];
  const app = load("app.js", "App");
  globalThis.getApp = () => app;
  app.onLaunch(launch);
  app.onShow(launch);
  await phone.quiet();
  return { phone, app };
}

/** Open a page. */
function open(name, options = {}) {
  const page = load(`pages/${name}/${name}.js`, "Page");
  page.data = structuredClone(page.data);
  page.setData = (changes) => Object.assign(page.data, changes);
  if (page.onLoad) page.onLoad(options);
  page.onShow();
  return page;
}

test("every page has its four parts, and every handler of its markup is there", () => {
  for (const name of config.pages) {
    const markup = fs.readFileSync(path.join(EXAMPLE, `${name}.wxml`), "utf8");
    assert.ok(fs.existsSync(path.join(EXAMPLE, `${name}.wxss`)), name);
    globalThis.getApp = () => ({});
    const page = load(`${name}.js`, "Page");
    const handlers = [...markup.matchAll(/bind\w+="(\w+)"/g)].map((found) => found[1]);
    assert.ok(handlers.length > 0);
    assert.deepEqual(handlers.filter((handler) => typeof page[handler] !== "function"), []);
    const shown = [...markup.matchAll(/\{\{[!]?(\w+)/g)].map((found) => found[1]).filter((word) => word !== "item");
    assert.deepEqual(shown.filter((word) => !(word in page.data)), []);
  }
});

test("a launch is reported with the settings, and by a card as its open", async (t) => {
  const { phone } = await start(t, { path: "pages/booking/booking", query: { nk: "2f.key" } });
  open("booking", { nk: "2f.key" });
  await phone.quiet();
  assert.deepEqual(phone.platform.got("POST visits"), [{ page: "pages/booking/booking", nk: "2f.key" }]);
  assert.deepEqual(phone.platform.got("POST opens"), []);
  assert.deepEqual(phone.platform.got("PUT wechat-settings"), [{ mainSwitch: true }]);
});

for (const word of ["accept", "reject"]) {
  test(`an order is placed and its answer reported, also when it is ${word}`, async (t) => {
    const { phone } = await start(t);
    const page = open("order");
    await phone.quiet();
    assert.equal(page.data.words, "货发出时告诉您");
    phone.policy = () => word;
    phone.tap(() => page.order());
    assert.equal(page.data.ordered, true);
    await phone.quiet();
    assert.equal(phone.platform.got("POST authorizations")[0].results.T1, word);
    assert.equal(phone.platform.got("POST conversions")[0].goal, "order");
    assert.equal(page.data.offerSettings, false);
  });
}

test("an order with the main switch off offers the settings, and they help", async (t) => {
  const { phone } = await start(t);
  phone.mainSwitch = false;
  const page = open("order");
  await phone.quiet();
  phone.tap(() => page.order());
  await phone.quiet();
  assert.deepEqual([page.data.ordered, page.data.offerSettings], [true, true]);
  phone.openedSettings = () => {
    phone.mainSwitch = true;
  };
  phone.tap(() => page.openSettings());
  await phone.quiet();
  assert.equal(page.data.offerSettings, false);
});

test("a booking stands before anything is asked, and its reminder is a tap of its own", async (t) => {
  const { phone } = await start(t);
  const page = open("booking");
  await phone.quiet();
  phone.tap(() => page.book());
  assert.deepEqual([page.data.booked, page.data.canAsk, phone.popups.length], [true, true, 0]);
  phone.tap(() => page.remind());
  await phone.quiet();
  assert.deepEqual([page.data.note, page.data.canAsk], ["开始前会提醒您", false]);
});

test("preferences are shown as the platform holds them, and changed one by one", async (t) => {
  const { phone } = await start(t);
  const page = open("preferences");
  await phone.quiet();
  assert.deepEqual(page.data.templates, PREFERENCES.templates);
  page.toggle({ currentTarget: { dataset: { id: "T1" } }, detail: { value: false } });
  page.toggleQuiet({ detail: { value: true } });
  await phone.quiet();
  assert.deepEqual(phone.platform.got("PATCH preferences"), [
    { muted: ["T1", "T2"] },
    { quiet_hours: { from: "22:00", until: "08:00" } },
  ]);
  assert.equal(page.data.quiet, true);
});
