"use strict";

// The example's own pages, each loaded and touched as WeChat would, on the real platform.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");

const { SDK, aPhone, real } = require("./world.js");

const EXAMPLE = path.join(SDK, "example");
const config = JSON.parse(fs.readFileSync(path.join(EXAMPLE, "app.json"), "utf8"));
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
async function start({ openid, launch = { path: "pages/order/order", query: {} } } = {}) {
  const phone = aPhone({ openid });
  const { request } = phone.wx;
  phone.wx.request = (given) => request({ ...given, url: given.url.replace("https://notify.example.com", real.url) });
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

/** Somebody moves the switch of a template. */
function aSwitch(id, value) {
  return { currentTarget: { dataset: { id } }, detail: { value } };
}

/** The page of preferences of somebody who has ordered, and agreed to both templates. */
async function preferencesOfACustomer() {
  const { phone } = await start();
  const order = open("order");
  await phone.quiet();
  phone.tap(() => order.order());
  await phone.quiet();
  const page = open("preferences");
  await phone.quiet();
  return { phone, page };
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

test("a launch is reported with the settings, and by a card as its open", async () => {
  const { openid, nk } = real.card;
  const { phone } = await start({ openid, launch: { path: "pages/booking/booking", query: { nk } } });
  open("booking", { nk });
  await phone.quiet();
  assert.deepEqual(phone.sent("visits"), [{ page: "pages/booking/booking", nk }]);
  assert.deepEqual(phone.sent("opens"), []);
  assert.deepEqual(phone.sent("wechat-settings"), [{ mainSwitch: true }]);
});

for (const [word, available] of [["accept", [1, 1]], ["reject", []]]) {
  test(`an order is placed and its answer reported, also when it is ${word}`, async () => {
    const { phone, app } = await start();
    const page = open("order");
    await phone.quiet();
    assert.equal(page.data.words, real.words);
    phone.policy = () => word;
    phone.tap(() => page.order());
    assert.equal(page.data.ordered, true);
    await phone.quiet();
    assert.equal(phone.sent("conversions")[0].goal, "order");
    assert.equal(page.data.offerSettings, false);
    const { data } = await app.notify.subscriptions();
    assert.deepEqual(data.subscriptions.map((each) => each.available), available);
  });
}

test("an order with the main switch off offers the settings, and they help", async () => {
  const { phone } = await start();
  const page = open("order");
  await phone.quiet();
  phone.mainSwitch = false;
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

test("a booking stands before anything is asked, and its reminder is a tap of its own", async () => {
  const { phone } = await start();
  const page = open("booking");
  await phone.quiet();
  phone.tap(() => page.book());
  assert.deepEqual([page.data.booked, page.data.canAsk, phone.popups.length], [true, true, 0]);
  phone.tap(() => page.remind());
  await phone.quiet();
  assert.deepEqual([page.data.note, page.data.canAsk], ["开始前会提醒您", false]);
});

test("preferences are shown as the platform holds them, and changed one by one", async () => {
  const { phone, page } = await preferencesOfACustomer();
  const [first, second] = real.planned;
  const muted = () => page.data.templates.map((each) => [each.template_id, each.muted]);
  assert.deepEqual(muted(), [[first, false], [second, false]]);
  page.toggle(aSwitch(first, false));
  await phone.quiet();
  page.toggle(aSwitch(second, false));
  await phone.quiet();
  page.toggle(aSwitch(first, true));
  await phone.quiet();
  page.toggleQuiet({ detail: { value: true } });
  await phone.quiet();
  assert.deepEqual([muted(), page.data.quiet], [[[first, false], [second, true]], true]);
  page.toggleQuiet({ detail: { value: false } });
  await phone.quiet();
  assert.deepEqual([muted(), page.data.quiet], [[[first, false], [second, true]], false]);
});

test("two switches touched quickly are both meant", async () => {
  const { phone, page } = await preferencesOfACustomer();
  const [first, second] = real.planned;
  page.toggle(aSwitch(first, false));
  page.toggle(aSwitch(second, false));
  await phone.quiet();
  const changes = phone.log.filter((each) => each.path === "preferences" && each.body).map((each) => each.body);
  assert.deepEqual(changes, [{ muted: [first] }, { muted: [first, second] }]);
});
