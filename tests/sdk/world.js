"use strict";

// What the suites share: the real platform that pytest has started (NOTIFY_WORLD), or a small one of their own; phones
// that know its templates; launches of the client, each with a fresh copy of the file.

const crypto = require("node:crypto");
const http = require("node:http");
const path = require("node:path");

const { Phone } = require("./fake_wx.js");

const SDK = path.join(__dirname, "../../notify_platform/api/sdk");
const CLIENT = path.join(SDK, "notify.js");
const real = JSON.parse(process.env.NOTIFY_WORLD || "null");

/** A person's phone in the real world; its codes of wx.login are the simulator's. */
function aPhone({ openid = `o${crypto.randomBytes(13).toString("hex")}A`, ...more } = {}) {
  const codes = async () => (await post(`${real.wechat}/_sim/login_code`, { app_id: real.appId, openid })).code;
  return new Phone({ templates: real.templates, codes, ...more });
}

/** The mini-program starts on a phone; `before`: an earlier launch on the same phone is over. */
function launch(phone, options = {}) {
  phone.shows = [];
  globalThis.wx = phone.wx;
  delete require.cache[CLIENT];
  const { createNotify } = require(CLIENT);
  return createNotify({ baseUrl: real ? real.url : phone.platform.url, appId: real ? real.appId : "wx1", ...options });
}

async function post(url, body) {
  const response = await fetch(url, { method: "POST", body: JSON.stringify(body) });
  return response.json();
}

/** The plan of the small platform. */
function aPlan(changes = {}) {
  return { prompt_id: "p1", template_ids: ["T1"], words: "货发出时告诉您", silent_top_up: false, reasons: [], ...changes };
}

/**
 * A platform that answers what it is told to: `answers["POST opens"]` is a document, or a function of the body that
 * returns one. It speaks to phones like the real one, so it reads the method that X-HTTP-Method-Override names.
 */
class SmallPlatform {
  constructor(answers = {}) {
    this.answers = { "POST sessions": { token: "t1", expires_at: "2026-12-02T00:00:00Z", subscriber: "s1" }, ...answers };
    this.calls = [];
    this.server = http.createServer((request, response) => this.handle(request, response));
    // A test that waits in vain ends at once, and fails: nothing else would happen any more.
    this.server.unref();
  }

  async start() {
    await new Promise((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}`;
    return this;
  }

  stop() {
    this.server.close();
  }

  async handle(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = parts.length ? JSON.parse(Buffer.concat(parts)) : undefined;
    const method = request.headers["x-http-method-override"] || request.method;
    const call = `${method} ${request.url.replace("/api/v1/", "").split("?")[0]}`;
    this.calls.push([call, body]);
    const answer = this.answers[call];
    const document = typeof answer === "function" ? answer(body) : answer;
    response.writeHead(document ? 200 : 404, { "content-type": "application/json", connection: "close" });
    response.end(JSON.stringify(document || { error: { code: "not_found", message: "Not found.", fields: {} } }));
  }

  /** The bodies of one kind of call. */
  got(call) {
    return this.calls.filter(([each]) => each === call).map(([, body]) => body);
  }
}

/** A phone with a small platform of its own, stopped when the test ends. */
async function aSmallWorld(test, answers = {}) {
  const templates = { T1: { title: "发货通知", type: 2 }, T2: { title: "预约提醒", type: 2 } };
  const phone = new Phone({ templates, codes: async () => "a-code" });
  phone.platform = await new SmallPlatform({ "GET prompts": aPlan(), ...answers }).start();
  test.after(() => phone.platform.stop());
  return phone;
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

module.exports = { SDK, CLIENT, real, aPhone, aPlan, aClock, aSmallWorld, launch };
