"use strict";

// Signing in, on the real platform.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { aPhone, launch, real } = require("./world.js");

/** The platform forgets the session: what the phone holds is no token any more. */
function spoil(phone) {
  const [key] = [...phone.storage.keys()].filter((each) => each.endsWith("session"));
  phone.storage.set(key, JSON.stringify({ ...JSON.parse(phone.storage.get(key)), token: "no-token" }));
}

test("many calls at once sign in once", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  const replies = await Promise.all([notify.login(), notify.prefetch(real.scene), notify.subscriptions(), notify.login()]);
  assert.deepEqual(replies.map((each) => each.ok), [true, true, true, true]);
  assert.equal(phone.logins, 1);
});

test("the session outlives a reload", async () => {
  const phone = aPhone();
  const first = await launch(phone).login();
  const second = await launch(phone).login();
  assert.deepEqual(second, first);
  assert.equal(phone.logins, 1);
});

test("a session that has ended is renewed once, also when several calls find out", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  await notify.login();
  spoil(phone);
  const replies = await Promise.all([notify.prefetch(real.scene), notify.subscriptions(), notify.visit("pages/index")]);
  assert.deepEqual(replies.map((each) => each.ok), [true, true, true]);
  assert.equal(phone.logins, 2);
});

test("a refusal of the old session that comes late does not end the new one", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  await notify.login();
  spoil(phone);
  let release;
  const hold = new Promise((resolve) => {
    release = resolve;
  });
  const error = { code: "session_unknown", message: "This is no session of ours: sign in again.", fields: {} };
  phone.faults = [null, { status: 401, data: { error }, hold }];
  const first = notify.subscriptions();
  const late = notify.subscriptions();
  await first;
  release();
  assert.equal((await late).ok, true);
  assert.equal(phone.logins, 2);
});

test("a platform that refuses the new session too is not asked for ever", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  await notify.login();
  const error = { code: "session_revoked", message: "The session was ended: sign in again.", fields: {} };
  phone.faults = [{ status: 401, data: { error } }, null, { status: 401, data: { error } }];
  const reply = await notify.subscriptions();
  assert.deepEqual([reply.ok, reply.error.code, reply.error.status], [false, "session_revoked", 401]);
  assert.equal(phone.sent("subscriptions").length, 2);
});

test("a report waits for a session rather than being lost", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  await notify.prefetch(real.scene);
  spoil(phone);
  const right = phone.codes;
  phone.codes = async () => "a code WeChat never gave";
  const { data } = await phone.tap(() => notify.ask(real.scene));
  assert.deepEqual([data.asked, data.reported], [true, false]);
  phone.codes = right;
  phone.show();
  await phone.quiet();
  const { data: mine } = await notify.subscriptions();
  assert.deepEqual(mine.subscriptions.map((each) => each.available), real.planned.map(() => 1));
});

test("a login that WeChat refuses is an error with its words", async () => {
  const phone = aPhone({ codes: async () => "" });
  const reply = await launch(phone).login();
  assert.deepEqual([reply.ok, reply.error.code, reply.error.message], [false, "login_failed", "login:fail system error"]);
});

test("a shop's own server may bring the session", async () => {
  const { data: session } = await launch(aPhone()).login();
  const phone = aPhone();
  const notify = launch(phone, { getSession: (done) => done(session) });
  const reply = await notify.prefetch(real.scene);
  assert.equal(reply.ok, true);
  assert.equal(phone.logins, 0);
});

test("a shop's server that brings none, or fails, is an error", async () => {
  for (const getSession of [
    (done) => done(),
    () => {
      throw new Error("the shop is closed");
    },
  ]) {
    const reply = await launch(aPhone(), { getSession }).prefetch(real.scene);
    assert.deepEqual([reply.ok, reply.error.code], [false, "login_failed"]);
  }
});

test("the platform's error comes whole", async () => {
  const reply = await launch(aPhone()).prefetch("no-such-scene");
  const message = reply.error.message;
  assert.deepEqual(reply, {
    ok: false,
    error: { code: "unknown_scene", message, fields: { scene: message }, status: 400, retryAfter: 0 },
  });
});

test("a client without address or app id says so and throws nothing", async () => {
  const phone = aPhone();
  for (const options of [{ baseUrl: "" }, { appId: "" }]) {
    const reply = await launch(phone, options).login();
    assert.deepEqual([reply.ok, reply.error.code], [false, "bad_options"]);
  }
});

test("a phone without network gets an error", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  await notify.login();
  phone.faults = ["offline"];
  const reply = await notify.subscriptions();
  assert.deepEqual([reply.ok, reply.error.code, reply.error.status], [false, "offline", 0]);
});

for (const [name, code] of [
  ["login", "login_failed"],
  ["request", "client_error"],
]) {
  test(`whatever wx.${name} throws while signing in is answered to everybody, and the next call signs in`, async () => {
    const notify = launch(aPhone());
    const right = wx[name];
    wx[name] = () => {
      throw new TypeError("parameter error");
    };
    for (const reply of await Promise.all([notify.login(), notify.subscriptions()])) {
      assert.deepEqual([reply.ok, reply.error.code, reply.error.message], [false, code, "TypeError: parameter error"]);
    }
    wx[name] = right;
    assert.equal((await notify.login()).ok, true);
  });
}
