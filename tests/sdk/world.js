"use strict";

// What the suites share: the platform that pytest has started (NOTIFY_WORLD); phones that know its templates; launches of
// the client, each with a fresh copy of the file.

const crypto = require("node:crypto");
const path = require("node:path");

const { Phone } = require("./fake_wx.js");

const SDK = path.join(__dirname, "../../notify_platform/api/sdk");
const CLIENT = path.join(SDK, "notify.js");
const real = JSON.parse(process.env.NOTIFY_WORLD || "null");

/** A person's phone; its codes of wx.login are the simulator's. What it knows of the templates is its own to change. */
function aPhone({ openid = `o${crypto.randomBytes(13).toString("hex")}A`, ...more } = {}) {
  const codes = async () => (await post(`${real.wechat}/_sim/login_code`, { app_id: real.appId, openid })).code;
  return new Phone({ templates: structuredClone(real.templates), codes, ...more });
}

/** The mini-program starts on a phone; `before`: an earlier launch on the same phone is over. */
function launch(phone, options = {}) {
  phone.shows = [];
  globalThis.wx = phone.wx;
  delete require.cache[CLIENT];
  const { createNotify } = require(CLIENT);
  return createNotify({ baseUrl: real.url, appId: real.appId, ...options });
}

async function post(url, body) {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  return response.json();
}

/** The phone's clock, which a test moves; set right again when the test ends. */
function aClock(test) {
  const right = Date.now;
  const clock = { ahead: 0 };
  Date.now = () => right() + clock.ahead;
  test.after(() => {
    Date.now = right;
  });
  return clock;
}

module.exports = { SDK, CLIENT, real, aPhone, aClock, launch };
