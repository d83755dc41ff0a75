"use strict";

// What the desk shows for a scene, pasted into a mini-program as it stands, on the real platform.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");

const { parse } = require("acorn");

const { CLIENT, aPhone, real } = require("./world.js");

/** Paste the parts into a folder of their own and load them. */
function paste(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mini-program-"));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  fs.copyFileSync(CLIENT, path.join(folder, "notify.js"));
  const given = {};
  globalThis.App = (app) => (given.app = app);
  globalThis.Page = (page) => (given.page = page);
  globalThis.getApp = () => given.app;
  for (const name of ["app", "page"]) {
    fs.writeFileSync(path.join(folder, `${name}.js`), real.snippets[name]);
    require(path.join(folder, `${name}.js`));
  }
  given.page.setData = (changes) => Object.assign(given.page.data, changes);
  return given;
}

test("the snippets are ES5 and call only what is there", () => {
  for (const name of ["app", "page"]) parse(real.snippets[name], { ecmaVersion: 5 });
  const [, handler] = real.snippets.markup.match(/bindtap="(\w+)"/);
  assert.match(real.snippets.page, new RegExp(`\\b${handler}: function`));
});

test("launch, show, tap: a consent", async (t) => {
  t.mock.method(console, "log", () => {});
  const phone = aPhone();
  globalThis.wx = phone.wx;
  const { app, page } = paste(t);
  app.onLaunch({ path: "pages/order/order", query: {} });
  app.onShow({ path: "pages/order/order", query: {} });
  page.onShow();
  await phone.quiet();
  assert.deepEqual(page.data, { words: real.words, canAsk: true });
  phone.tap(() => page.subscribe());
  await phone.quiet();
  const { data } = await app.notify.subscriptions();
  assert.deepEqual(data.subscriptions.map((each) => each.available), [1, 1]);
});
