"use strict";

// A phone: `wx` as strict as WeChat where the client could go wrong. Real HTTP, storage that survives a reload, popups that
// stay open until somebody answers, and trouble on order.

const http = require("node:http");
const { setImmediate: turn } = require("node:timers/promises");

const METHODS = ["OPTIONS", "GET", "HEAD", "POST", "PUT", "DELETE", "TRACE", "CONNECT"];
const NO_TAP = "requestSubscribeMessage:fail can only be invoked by user TAP gesture.";

class Phone {
  /**
   * @param {object} given `templates`: id → {title, type}; `codes`: makes what wx.login gives; `storage`: of an earlier
   * launch
   */
  constructor({ templates = {}, codes = async () => "no-code", storage = new Map() } = {}) {
    this.templates = templates;
    this.codes = codes;
    this.storage = storage;
    this.mainSwitch = true;
    this.alwaysKeep = {};
    this.inTap = false;
    this.open = null;
    /** What is answered at once; null leaves the popup open. */
    this.policy = () => "accept";
    /** One for each of the next requests: "offline", "timeout" (the server has done it), {status, header, data, hold}, null. */
    this.faults = [];
    this.offline = false;
    this.log = [];
    this.popups = [];
    this.logins = 0;
    this.shows = [];
    this.pending = 0;
    this.storageIsFull = false;
    this.openedSettings = () => {};
    this.wx = this.makeWx();
  }

  /** Somebody taps: only what runs in this very turn is inside the tap. */
  tap(handler) {
    this.inTap = true;
    try {
      return handler();
    } finally {
      this.inTap = false;
    }
  }

  /** The mini-program comes to the front. */
  show() {
    this.shows.forEach((listener) => listener({}));
  }

  /** Answer the popup that is open. */
  answer(word) {
    const { open } = this;
    this.open = null;
    const results = { errMsg: "requestSubscribeMessage:ok" };
    for (const id of open.ids) results[id] = open.dropped.includes(id) ? "filter" : word;
    this.popups.push(results);
    this.later(() => open.success(results));
  }

  /** Bodies of the requests to one address, in order, also of those that met with trouble. */
  sent(path) {
    return this.log.filter((each) => each.path === path).map((each) => each.body);
  }

  /** Wait until nothing is under way. */
  async quiet() {
    do await turn();
    while (this.pending);
  }

  makeWx() {
    return {
      login: (given) => this.login(given),
      request: (given) => this.request(given),
      requestSubscribeMessage: (given) => this.requestSubscribeMessage(given),
      getSetting: (given) => this.getSetting(given),
      openSetting: (given) => this.openSetting(given),
      onAppShow: (listener) => this.shows.push(listener),
      getStorageSync: (key) => (this.storage.has(key) ? JSON.parse(this.storage.get(key)) : ""),
      setStorageSync: (key, value) => {
        if (this.storageIsFull) throw new Error("setStorageSync:fail exceed storage max size");
        this.storage.set(key, JSON.stringify(value));
      },
    };
  }

  login({ success, fail }) {
    this.logins += 1;
    this.during(async () => {
      const code = await this.codes();
      if (code) success({ errMsg: "login:ok", code });
      else fail({ errMsg: "login:fail system error" });
    });
  }

  request({ url, method = "GET", data, header = {}, success, fail }) {
    if (!METHODS.includes(method)) throw new TypeError(`request:fail method is invalid: ${method}`);
    const target = new URL(url);
    const path = target.pathname.replace("/api/v1/", "") + target.search;
    this.log.push({ method, path, body: data, header });
    const fault = this.offline ? "offline" : this.faults.shift();
    this.during(async () => {
      if (fault === "offline") return fail({ errMsg: "request:fail net::ERR_INTERNET_DISCONNECTED" });
      if (fault && fault.hold) await fault.hold;
      if (fault && fault.status) return success({ header: {}, data: "", ...fault, statusCode: fault.status });
      let got;
      try {
        got = await sendOut(target, method, data, header);
      } catch (error) {
        return fail({ errMsg: `request:fail ${error.message}` });
      }
      // The server has done it, and the phone never hears of it.
      if (fault === "timeout") return fail({ errMsg: "request:fail timeout" });
      success(got);
    });
  }

  requestSubscribeMessage({ tmplIds, success, fail }) {
    const refuse = (errMsg, errCode) => this.later(() => fail(errCode ? { errMsg, errCode } : { errMsg }));
    if (!this.inTap) return refuse(NO_TAP);
    if (this.open) return refuse("requestSubscribeMessage:fail last call has not ended");
    const [errCode, errMsg] = this.verdict(tmplIds);
    if (errCode) return refuse(`requestSubscribeMessage:fail ${errMsg}`, errCode);
    const titles = tmplIds.map((id) => this.templates[id].title);
    this.open = { ids: tmplIds, dropped: tmplIds.filter((id, at) => titles.indexOf(titles[at]) < at), success };
    const word = this.policy(tmplIds);
    if (word) this.answer(word);
  }

  verdict(ids) {
    if (!Array.isArray(ids)) return [10004, "Invalid template id"];
    if (!ids.length) return [10001, "TmplIds can't be empty"];
    if (ids.length > 5) return [20003, "Templates count out of max bounds"];
    if (!this.mainSwitch) return [20004, "The main switch is switched off"];
    if (ids.some((id) => !(id in this.templates))) return [20001, "No template data return, verify the template id exist"];
    if (new Set(ids.map((id) => this.templates[id].type)).size > 1) return [20002, "Templates type must be same"];
    return [0, ""];
  }

  getSetting({ withSubscriptions, success }) {
    const subscriptionsSetting = { mainSwitch: this.mainSwitch };
    if (Object.keys(this.alwaysKeep).length) subscriptionsSetting.itemSettings = this.alwaysKeep;
    const got = { errMsg: "getSetting:ok", authSetting: {} };
    if (withSubscriptions) got.subscriptionsSetting = subscriptionsSetting;
    this.later(() => success(got));
  }

  openSetting({ success, fail }) {
    if (!this.inTap) return this.later(() => fail({ errMsg: "openSetting:fail can only be invoked by user TAP gesture." }));
    this.openedSettings(this);
    this.later(() => success({ errMsg: "openSetting:ok", authSetting: {} }));
  }

  /** In a later turn, outside of any tap. */
  later(work) {
    this.during(async () => {
      await turn();
      work();
    });
  }

  during(work) {
    this.pending += 1;
    work().finally(() => {
      this.pending -= 1;
    });
  }
}

function sendOut(target, method, data, header) {
  const body = data === undefined || method === "GET" ? "" : JSON.stringify(data);
  const headers = { ...header, "content-length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    const request = http.request(target, { method, headers, agent: false }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => {
        const text = Buffer.concat(parts).toString();
        resolve({ statusCode: response.statusCode, header: response.headers, data: parsed(text), errMsg: "request:ok" });
      });
      response.on("error", reject);
    });
    request.on("error", reject);
    request.end(body);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

module.exports = { Phone };
