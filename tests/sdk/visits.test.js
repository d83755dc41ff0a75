"use strict";

// Coming by, on the real platform; what was written is counted by the test that started this.

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { aPhone, launch, real } = require("./world.js");

test("a card is reported once, by whatever page or launch sees it, also after a reload", async () => {
  const phone = aPhone({ openid: real.card.openid });
  const notify = launch(phone);
  const { nk } = real.card;
  const [first, second] = await Promise.all([notify.opened({ query: { nk } }), notify.opened({ nk })]);
  assert.deepEqual([first, second], [first, first]);
  assert.deepEqual(first, { ok: true, data: { deed: "open" } });
  assert.deepEqual(await launch(phone).opened({ nk }), { ok: true, data: { deed: "known" } });
  assert.deepEqual(phone.sent("opens"), [{ nk }]);
});

test("a page without a card's key reports no card", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  for (const options of [undefined, {}, { query: {} }, { id: "1" }]) {
    assert.deepEqual(await notify.opened(options), { ok: true, data: { deed: "none" } });
  }
  assert.deepEqual(phone.log, []);
});

test("an open that did not get out is reported by the next page", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  const { nk } = real.card;
  await notify.login();
  phone.faults = ["offline"];
  assert.equal((await notify.opened({ nk })).ok, false);
  assert.deepEqual(await notify.opened({ nk }), { ok: true, data: { deed: "shared_visit" } });
});

test("a key the platform never made is refused once and not sent again", async () => {
  const phone = aPhone();
  const notify = launch(phone);
  const reply = await notify.opened({ nk: "made-up" });
  assert.equal(reply.error.code, "bad_key");
  assert.deepEqual(await notify.opened({ nk: "made-up" }), { ok: true, data: { deed: "known" } });
  assert.equal(phone.sent("opens").length, 1);
});

test("a launch is a visit", async () => {
  const phone = aPhone();
  assert.deepEqual(await launch(phone).visit("pages/index/index"), { ok: true, data: { deed: "visit" } });
  assert.deepEqual(phone.sent("visits"), [{ page: "pages/index/index" }]);
});

test("a launch by a card is its open too, and is not reported twice", async () => {
  const phone = aPhone({ openid: real.card.openid });
  const notify = launch(phone);
  const { nk } = real.card;
  const [visit, opened] = await Promise.all([notify.visit("pages/order/order", nk), notify.opened({ query: { nk } })]);
  assert.deepEqual(visit, { ok: true, data: { deed: "open" } });
  assert.deepEqual(opened, visit);
  assert.deepEqual(phone.sent("opens"), []);
});
