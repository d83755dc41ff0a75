"use strict";

// What the desk shows for a scene, and what the page for developers shows, pasted into a mini-program as it stands, on the
// real platform.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");

const { parse } = require("acorn");

const { CLIENT, SDK, aPhone, real } = require("./world.js");

/** What the page for developers shows, with the platform's own address. */
function shown() {
  const text = fs.readFileSync(path.join(SDK, "README.md"), "utf8");
  const [app, page] = [...text.matchAll(/^```js\n(.*?)^```/gms)].map((found) => found[1]);
  const [, markup] = text.match(/^```xml\n(.*?)^```/ms);
  return { app: app.replace("https://notify.example.com", real.url), page, markup };
}

/** The mini-program starts, and a page of it is shown. */
async function start(t, parts) {
  t.mock.method(console, "log", () => {});
  const phone = aPhone();
  globalThis.wx = phone.wx;
  const { app, page } = paste(t, parts);
  app.onLaunch({ path: "pages/order/order", query: {} });
  app.onShow({ path: "pages/order/order", query: {} });
  page.onShow();
  await phone.quiet();
  return { phone, app, page };
}

/** The units of each template. */
async function available(app) {
  const { data } = await app.notify.subscriptions();
  return data.subscriptions.map((each) => each.available);
}

/** Paste the parts into a folder of their own and load them. */
function paste(t, parts) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mini-program-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.copyFileSync(CLIENT, path.join(folder, "notify.js"));
  const given = {};
  globalThis.App = (app) => (given.app = app);
  globalThis.Page = (page) => (given.page = page);
  globalThis.getApp = () => given.app;
  for (const name of ["app", "page"]) {
    fs.writeFileSync(path.join(folder, `${name}.js`), parts[name]);
    require(path.join(folder, `${name}.js`));
  }
  given.page.setData = (changes) => Object.assign(given.page.data, changes);
  return given;
}

test("the snippets are ES5 and call only what is there", () => {
  for (const name of ["app", "page"]) parse(real.snippets[name], { ecmaVersion: 5 });
  for (const { markup, page } of [real.snippets, shown()]) {
    const handlers = [...markup.matchAll(/bindtap="(\w+)"/g)].map((found) => found[1]);
    assert.ok(handlers.length > 0);
    for (const handler of handlers) assert.match(page, new RegExp(`\\b${handler}: function`));
  }
});

test("launch, show, tap: a consent", async (t) => {
  const { phone, app, page } = await start(t, real.snippets);
  assert.deepEqual(page.data, { words: real.words, canAsk: true });
  phone.tap(() => page.subscribe());
  await phone.quiet();
  assert.deepEqual(await available(app), [1, 1]);
  assert.equal(phone.sent("visits").length, 1);
});

test("from nothing to the first consent, as the page for developers tells it", async (t) => {
  const { phone, app, page } = await start(t, shown());
  assert.deepEqual(page.data, { words: real.words, offerSettings: false });
  phone.tap(() => page.order());
  await phone.quiet();
  assert.deepEqual(await available(app), [1, 1]);
  assert.deepEqual([phone.sent("visits").length, phone.sent("wechat-settings").length], [1, 1]);
});
