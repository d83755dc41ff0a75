"use strict";

// The client of notify_platform for WeChat mini-programs. One file in plain ES5: copy it beside your app.js, no build.
// How to use it: README.md; the types of everything public: notify.d.ts.

/** @typedef {import("./notify").Problem} Problem */
/** @typedef {{ok: true, data: any} | {ok: false, error: Problem}} Reply */
/** @typedef {(reply: Reply) => void} Done */
/** @typedef {{id: string, path: string, body: any, at: number, late?: boolean}} Report */

var TIMEOUT_MS = 15000;
var MOST_REPORTS = 50;
var MOST_KEYS = 50;
// Each is a request whenever something has changed, and the server counts them.
var MOST_SCENES = 5;
// The server takes no older answer: by then WeChat's own event has told it.
var OLDEST_REPORT_MS = 7 * 24 * 3600 * 1000;
var LONGEST_WAIT_S = 3600;
// The popup that WeChat did not show, in our words.
/** @type {Record<number, import("./notify").Reason>} */
var REASONS = { 20004: "main_switch_off", 20005: "banned" };

/** @param {any} data @returns {Reply} */
function yes(data) {
  return { ok: true, data: data };
}

/** @param {string} code @param {string} [message] @param {number} [status] @returns {Reply} */
function no(code, message, status) {
  return { ok: false, error: { code: code, message: message || code, fields: {}, status: status || 0, retryAfter: 0 } };
}

/** @param {any} given @returns {any} a copy, without what is undefined */
function copied(given) {
  return JSON.parse(JSON.stringify(given || {}));
}

/** @param {Done[]} waiting @param {Reply} reply */
function tell(waiting, reply) {
  waiting.forEach(function (done) {
    done(reply);
  });
}

/**
 * Do what may throw at once instead of calling back: then that is the answer. Nobody is answered twice.
 * @param {string} code of what was thrown @param {Done} done @param {(done: Done) => void} work
 */
function answered(code, done, work) {
  var settled = false;
  /** @param {Reply} reply */
  function once(reply) {
    if (settled) return;
    settled = true;
    done(reply);
  }
  try {
    work(once);
  } catch (error) {
    once(no(code, String(error)));
  }
}

/** @returns {string} an id that nobody else makes */
function newId() {
  var parts = [Date.now(), Math.random() * 1e9, Math.random() * 1e9];
  return parts
    .map(function (part) {
      return Math.floor(part).toString(36);
    })
    .join("-");
}

// --- what outlives a reload -------------------------------------------------------------------------------------------

/**
 * Storage is asked each time, so that two clients of one app see the same; memory stands in for what it would not take.
 * @constructor
 * @param {string} prefix
 */
function Store(prefix) {
  this.prefix = prefix;
  /** @type {Record<string, any>} */
  this.memory = {};
  /** @type {Record<string, boolean>} */
  this.unsaved = {};
}

/** @param {string} name @returns {any} */
Store.prototype.read = function (name) {
  if (this.unsaved[name]) return this.memory[name];
  try {
    return wx.getStorageSync(this.prefix + name) || undefined;
  } catch (error) {
    return this.memory[name];
  }
};

/** @param {string} name @param {any} value */
Store.prototype.write = function (name, value) {
  this.memory[name] = value;
  try {
    wx.setStorageSync(this.prefix + name, value);
    this.unsaved[name] = false;
  } catch (error) {
    this.unsaved[name] = true;
  }
};

// --- the session and the calls ----------------------------------------------------------------------------------------

/**
 * @constructor
 * @param {import("./notify").Options} options
 * @param {Store} store
 */
function Server(options, store) {
  this.options = options;
  this.store = store;
  /** @type {Done[] | null} */
  this.waiting = null;
}

/** The session there is, or a new one; who comes while one is being made waits for that one. @param {Done} done */
Server.prototype.login = function (done) {
  var self = this;
  var session = this.store.read("session");
  if (session) return done(yes(session));
  if (this.waiting) return void this.waiting.push(done);
  this.waiting = [done];
  this.begin(function (reply) {
    /** @type {Done[]} */
    var waiting = self.waiting || [];
    self.waiting = null;
    if (reply.ok) self.store.write("session", reply.data);
    tell(waiting, reply);
  });
};

/** @param {Done} done */
Server.prototype.begin = function (done) {
  var self = this;
  var getSession = this.options.getSession;
  answered("login_failed", done, function (once) {
    if (getSession) return self.borrow(getSession, once);
    wx.login({
      timeout: TIMEOUT_MS,
      success: function (got) {
        self.send("POST", "sessions", { app_id: self.options.appId, code: got.code }, "", once);
      },
      fail: function (failure) {
        once(no("login_failed", failure.errMsg));
      },
    });
  });
};

/** A session from the shop's own server. @param {Function} getSession @param {Done} done */
Server.prototype.borrow = function (getSession, done) {
  getSession(function (/** @type {any} */ session) {
    done(session && session.token ? yes(session) : no("login_failed", "getSession brought no session"));
  });
};

/**
 * One call with a session; a session that has ended is renewed once. `refused`: the server said no to this very call, so
 * that it is no use to repeat it.
 * @param {string} method @param {string} path @param {any} body
 * @param {(reply: Reply, refused: boolean) => void} done
 */
Server.prototype.call = function (method, path, body, done) {
  var self = this;
  /** @param {boolean} again */
  function attempt(again) {
    self.login(function (session) {
      if (!session.ok) return done(session, false);
      self.send(method, path, body, session.data.token, function (reply) {
        if (reply.ok || reply.error.status !== 401) return done(reply, isRefusal(reply));
        self.forget(session.data.token);
        if (again) attempt(false);
        else done(reply, false);
      });
    });
  }
  attempt(true);
};

/** Somebody else may have renewed it meanwhile. @param {string} token */
Server.prototype.forget = function (token) {
  var session = this.store.read("session");
  if (session && session.token === token) this.store.write("session", null);
};

/** @param {string} method @param {string} path @param {any} body @param {string} token @param {Done} done */
Server.prototype.send = function (method, path, body, token, done) {
  /** @type {Record<string, string>} */
  var header = { "content-type": "application/json" };
  var options = this.options;
  if (!options.baseUrl || !options.appId) return done(no("bad_options", "createNotify needs baseUrl and appId"));
  if (token) header.Authorization = "Bearer " + token;
  // wx.request knows no PATCH.
  if (method === "PATCH") header["X-HTTP-Method-Override"] = "PATCH";
  answered("client_error", done, function (once) {
    wx.request({
      url: options.baseUrl.replace(/\/+$/, "") + "/api/v1/" + path,
      method: method === "PATCH" ? "POST" : /** @type {"GET" | "POST" | "PUT"} */ (method),
      data: body,
      header: header,
      timeout: TIMEOUT_MS,
      success: function (got) {
        once(replyOf(got));
      },
      fail: function (failure) {
        var errMsg = (failure && failure.errMsg) || "";
        once(no(/timeout|timed out/i.test(errMsg) ? "timeout" : "offline", errMsg));
      },
    });
  });
};

/** @param {{statusCode: number, data: any, header?: any}} got @returns {Reply} */
function replyOf(got) {
  var data = got.data;
  var isObject = data !== null && typeof data === "object";
  if (got.statusCode >= 200 && got.statusCode < 300 && isObject) return yes(data);
  var problem = (isObject && data.error) || {};
  var reply = no(problem.code || "bad_answer", problem.message || "HTTP " + got.statusCode, got.statusCode);
  if (!reply.ok) {
    reply.error.fields = problem.fields || {};
    reply.error.retryAfter = retryAfter(got.header || {});
  }
  return reply;
}

/** @param {Record<string, any>} header names in any case @returns {number} seconds, 0 when it does not say */
function retryAfter(header) {
  var seconds = 0;
  Object.keys(header).forEach(function (name) {
    if (name.toLowerCase() === "retry-after") seconds = Number(header[name]) || 0;
  });
  return Math.min(Math.max(seconds, 0), LONGEST_WAIT_S);
}

/** Whether our server, and not something in between, has refused for good. @param {Reply} reply @returns {boolean} */
function isRefusal(reply) {
  if (reply.ok || reply.error.code === "bad_answer") return false;
  var status = reply.error.status;
  return status >= 400 && status < 500 && status !== 401 && status !== 408 && status !== 429;
}

// --- reports that must arrive, once -----------------------------------------------------------------------------------

/**
 * A report is stored before it is sent and forgotten when the server has it. It keeps its id, so that one whose answer
 * got lost counts once however often it is sent.
 * @constructor
 * @param {Server} server
 * @param {Store} store
 */
function Outbox(server, store) {
  this.server = server;
  this.store = store;
  this.busy = false;
  this.notBefore = 0;
  /** @type {Record<string, (reply: Reply, kept: boolean) => void>} */
  this.waiting = {};
}

/** @returns {Report[]} */
Outbox.prototype.reports = function () {
  return this.store.read("reports") || [];
};

/** @param {string} path @param {any} body @param {(reply: Reply, kept: boolean) => void} done */
Outbox.prototype.put = function (path, body, done) {
  var report = { id: newId(), path: path, body: body, at: Date.now() };
  this.waiting[report.id] = done;
  this.store.write("reports", this.reports().concat([report]).slice(-MOST_REPORTS));
  this.flush();
};

/** Send what is there, oldest first, until something goes wrong; what the server failed at comes after all others. */
Outbox.prototype.flush = function () {
  // Whoever is sending takes what came meanwhile.
  if (this.busy) return;
  var wait = this.notBefore - Date.now();
  if (wait > 0 && wait <= LONGEST_WAIT_S * 1000) return this.giveUp(no("throttled", "The server asked to wait.", 429));
  this.busy = true;
  this.next();
};

Outbox.prototype.next = function () {
  var self = this;
  var reports = this.reports();
  var report = reports.filter(isInTime)[0] || reports[0];
  if (!report) {
    this.busy = false;
    // Whoever waits still: another client on this phone has the report in hand.
    return this.giveUp(no("elsewhere", "Another client sends this report."));
  }
  var ago = Math.max(0, Date.now() - report.at);
  if (ago > OLDEST_REPORT_MS) return this.settle(report, no("too_old", "The report did not arrive within 7 days."));
  var body = copied(report.body);
  body.client_request_id = report.id;
  if (report.path === "authorizations") body.answered_ago_ms = ago;
  this.server.call("POST", report.path, body, function (reply, refused) {
    if (reply.ok || refused) return self.settle(report, reply);
    if (reply.error.code === "server_error") self.postpone(report);
    self.busy = false;
    self.notBefore = reply.error.retryAfter ? Date.now() + reply.error.retryAfter * 1000 : 0;
    self.giveUp(reply);
  });
};

/** @param {Report} report @returns {boolean} */
function isInTime(report) {
  return !report.late;
}

/** @param {Report} report @returns {Report[]} */
Outbox.prototype.besides = function (report) {
  return this.reports().filter(function (each) {
    return each.id !== report.id;
  });
};

/** The fault may be this report's own: it must not keep back the others. @param {Report} report */
Outbox.prototype.postpone = function (report) {
  var others = this.besides(report);
  // Another client on this phone may have settled it meanwhile.
  if (others.length === this.reports().length) return;
  report.late = true;
  this.store.write("reports", others.concat([report]));
};

/** @param {Report} report @param {Reply} reply */
Outbox.prototype.settle = function (report, reply) {
  var done = this.waiting[report.id];
  delete this.waiting[report.id];
  this.store.write("reports", this.besides(report));
  if (done) done(reply, false);
  this.next();
};

/** Nobody waits for a later try. @param {Reply} reply */
Outbox.prototype.giveUp = function (reply) {
  var waiting = this.waiting;
  this.waiting = {};
  Object.keys(waiting).forEach(function (id) {
    waiting[id](reply, true);
  });
};

// --- asking -----------------------------------------------------------------------------------------------------------

/**
 * The plans are fetched ahead, because between the tap and WeChat's popup there is no time to ask a server. A plan stays
 * until a later one is there, or its popup was answered.
 * @constructor
 * @param {Server} server
 * @param {Outbox} outbox
 */
function Asking(server, outbox) {
  this.server = server;
  this.outbox = outbox;
  /** @type {Record<string, import("./notify").Plan>} */
  this.plans = {};
  /** @type {Record<string, Done[]>} */
  this.fetching = {};
  /** @type {string[]} where the person has been, the latest first */
  this.scenes = [];
  this.fetches = 0;
  /** @type {Record<string, number>} the last fetch of a scene that told something, or that must not any more */
  this.told = {};
  /** @type {Done[] | null} */
  this.popup = null;
}

/** @param {Done} done @param {string} scene */
Asking.prototype.prefetch = function (done, scene) {
  this.remember(scene);
  this.plan(done, scene);
};

/** @param {string} scene */
Asking.prototype.remember = function (scene) {
  var others = this.scenes.filter(function (each) {
    return each !== scene;
  });
  this.scenes = [scene].concat(others).slice(0, MOST_SCENES);
  others.slice(MOST_SCENES - 1).forEach(this.drop, this);
};

/** Forget a scene's plan, and the one that is on its way. @param {string} scene */
Asking.prototype.drop = function (scene) {
  delete this.plans[scene];
  delete this.fetching[scene];
  this.told[scene] = this.fetches;
};

/** @param {Done} done @param {string} scene */
Asking.prototype.plan = function (done, scene) {
  var self = this;
  if (this.fetching[scene]) return void this.fetching[scene].push(done);
  var waiting = (this.fetching[scene] = [done]);
  var number = (this.fetches += 1);
  this.server.call("GET", "prompts?scene=" + encodeURIComponent(scene), undefined, function (reply) {
    if (self.fetching[scene] === waiting) delete self.fetching[scene];
    if (reply.ok && number > (self.told[scene] || 0)) {
      self.told[scene] = number;
      self.plans[scene] = reply.data;
    }
    tell(waiting, reply);
  });
};

/** The world has changed: plan anew wherever the person may ask, beginning where they are. */
Asking.prototype.replan = function () {
  var self = this;
  this.fetching = {};
  this.scenes.forEach(function (scene) {
    self.plan(function () {}, scene);
  });
};

/** @param {Done} done @param {string} scene */
Asking.prototype.ask = function (done, scene) {
  if (this.popup) return void this.popup.push(done);
  var plan = this.plans[scene];
  if (!wx.requestSubscribeMessage) return done(yes(outcome(scene, "not_available")));
  if (!plan) {
    this.prefetch(function () {}, scene);
    return done(yes(outcome(scene, "no_plan")));
  }
  if (!plan.template_ids.length) return done(yes(outcome(scene, "nothing_to_ask", plan.reasons)));
  this.popup = [done];
  try {
    this.show(scene, plan);
  } catch (error) {
    this.end(no("client_error", String(error)));
  }
};

/** Nothing may come between the tap and this call, or WeChat refuses. @param {string} scene @param {any} plan */
Asking.prototype.show = function (scene, plan) {
  var self = this;
  wx.requestSubscribeMessage({
    tmplIds: plan.template_ids,
    success: function (got) {
      self.report(outcome(scene, ""), { prompt_id: plan.prompt_id, results: got });
    },
    fail: function (failure) {
      var code = failure && failure.errCode;
      var seen = outcome(scene, REASONS[code] || "failed");
      seen.message = (failure && failure.errMsg) || "";
      if (!code) return self.end(yes(seen));
      seen.errCode = code;
      seen.offerSettings = seen.reason === "main_switch_off";
      self.report(seen, { prompt_id: plan.prompt_id, err_code: code });
    },
  });
};

/** @param {Reply} reply */
Asking.prototype.end = function (reply) {
  var waiting = this.popup || [];
  this.popup = null;
  tell(waiting, reply);
};

/** @param {import("./notify").Outcome} seen @param {any} body */
Asking.prototype.report = function (seen, body) {
  var self = this;
  var waiting = this.popup || [];
  // The next tap may come before the server has answered.
  this.popup = null;
  this.drop(seen.scene);
  if (body.results) {
    seen.asked = true;
    seen.results = body.results;
  }
  this.outbox.put("authorizations", body, function (reply, kept) {
    seen.reported = reply.ok;
    if (reply.ok) {
      seen.balances = reply.data.balances;
      self.replan();
    }
    tell(waiting, reply.ok || kept ? yes(seen) : reply);
  });
};

/**
 * @param {string} scene @param {import("./notify").Reason} reason @param {import("./notify").PlanReason[]} [reasons]
 * @returns {import("./notify").Outcome}
 */
function outcome(scene, reason, reasons) {
  return {
    scene: scene,
    asked: false,
    reason: reason,
    reasons: reasons || [],
    message: "",
    results: {},
    errCode: 0,
    offerSettings: false,
    reported: false,
    balances: [],
  };
}

// --- coming by --------------------------------------------------------------------------------------------------------

/**
 * @constructor
 * @param {Server} server
 * @param {Store} store
 */
function Visits(server, store) {
  this.server = server;
  this.store = store;
  /** @type {Record<string, Done[]>} */
  this.opening = {};
}

/** @param {Done} done @param {any} options those of a page's onLoad, or of the app's onLaunch and onShow */
Visits.prototype.opened = function (done, options) {
  var query = (options && options.query) || options || {};
  var nk = query.nk;
  if (!nk || this.isKnown(nk)) return done(yes({ deed: nk ? "known" : "none" }));
  if (this.opening[nk]) return void this.opening[nk].push(done);
  this.report("opens", { nk: nk }, done);
};

/** @param {Done} done @param {string} page @param {string} [nk] the server takes a visit by a card as its open too */
Visits.prototype.visit = function (done, page, nk) {
  this.report("visits", copied({ page: page, nk: nk || undefined }), done);
};

/** @param {string} path @param {{nk?: string}} body @param {Done} done */
Visits.prototype.report = function (path, body, done) {
  var self = this;
  var nk = body.nk;
  var waiting = [done];
  if (nk) this.opening[nk] = waiting;
  this.server.call("POST", path, body, function (reply, refused) {
    if (nk) {
      delete self.opening[nk];
      if (reply.ok || refused) self.note(nk);
    }
    tell(waiting, reply);
  });
};

/** @param {string} nk @returns {boolean} */
Visits.prototype.isKnown = function (nk) {
  return (this.store.read("opened") || []).indexOf(nk) >= 0;
};

/** @param {string} nk */
Visits.prototype.note = function (nk) {
  if (!this.isKnown(nk)) this.store.write("opened", (this.store.read("opened") || []).concat([nk]).slice(-MOST_KEYS));
};

// --- WeChat's settings ------------------------------------------------------------------------------------------------

/** @param {Server} server @param {Asking} asking @param {Done} done */
function reportSettings(server, asking, done) {
  answered("settings_failed", done, function (once) {
    wx.getSetting({
      withSubscriptions: true,
      success: function (got) {
        if (!got.subscriptionsSetting) return once(no("not_available", "wx.getSetting tells no subscriptions here"));
        server.call("PUT", "wechat-settings", got.subscriptionsSetting, function (reply) {
          if (reply.ok) asking.replan();
          once(reply);
        });
      },
      fail: function (failure) {
        once(no("settings_failed", failure.errMsg));
      },
    });
  });
}

/** Inside a tap, like asking. @param {Server} server @param {Asking} asking @param {Done} done */
function openSettings(server, asking, done) {
  wx.openSetting({
    withSubscriptions: true,
    success: function () {
      reportSettings(server, asking, done);
    },
    fail: function (failure) {
      done(no("settings_failed", failure.errMsg));
    },
  });
}

// --- the client -------------------------------------------------------------------------------------------------------

/** Call a page back; its own mistakes are told, and stop nothing here. @param {Done} done @param {Reply} reply */
function callBack(done, reply) {
  try {
    done(reply);
  } catch (error) {
    console.error("notify: the callback failed", error);
  }
}

/**
 * Make a method of the client: its last argument may be a callback; it returns a promise where the phone has them. Both
 * get the same reply, and nothing is ever thrown.
 * @param {Outbox} outbox
 * @param {(done: Done, ...given: any[]) => void} work runs at once, in the same turn: a tap is still a tap
 * @returns {any}
 */
function method(outbox, work) {
  return function () {
    var given = Array.prototype.slice.call(arguments);
    /** @type {Done | null} */
    var callback = typeof given[given.length - 1] === "function" ? given.pop() : null;
    /** @param {Done} resolve */
    function run(resolve) {
      /** @param {Reply} reply */
      function done(reply) {
        if (callback) callBack(callback, reply);
        resolve(reply);
      }
      answered("client_error", done, function (once) {
        work.apply(null, /** @type {any} */ ([once]).concat(given));
        outbox.flush();
      });
    }
    if (typeof Promise === "function") return new Promise(run);
    run(function () {});
  };
}

/** @type {typeof import("./notify").createNotify} */
function createNotify(options) {
  var settings = options || {};
  var store = new Store(["notify", settings.baseUrl, settings.appId, ""].join("|"));
  var server = new Server(settings, store);
  var outbox = new Outbox(server, store);
  var asking = new Asking(server, outbox);
  var visits = new Visits(server, store);

  /** @param {(done: Done, ...given: any[]) => void} work */
  function offer(work) {
    return method(outbox, work);
  }

  if (wx.onAppShow) {
    wx.onAppShow(function () {
      outbox.flush();
    });
  }

  return {
    login: offer(server.login.bind(server)),
    prefetch: offer(asking.prefetch.bind(asking)),
    ask: offer(asking.ask.bind(asking)),
    opened: offer(visits.opened.bind(visits)),
    visit: offer(visits.visit.bind(visits)),
    reportSettings: offer(reportSettings.bind(null, server, asking)),
    openSettings: offer(openSettings.bind(null, server, asking)),
    convert: offer(function (done, goal, more) {
      var given = more || {};
      outbox.put("conversions", copied({ goal: goal, value: given.value, nk: given.nk }), function (reply, kept) {
        if (reply.ok) done(yes({ reported: true, attributed: reply.data.attributed }));
        else done(kept ? yes({ reported: false, attributed: false }) : reply);
      });
    }),
    feedback: offer(function (done, nk, kind, text) {
      server.call("POST", "feedback", copied({ nk: nk, kind: kind, text: text || undefined }), done);
    }),
    subscriptions: offer(function (done) {
      server.call("GET", "subscriptions", undefined, done);
    }),
    preferences: offer(function (done) {
      server.call("GET", "preferences", undefined, done);
    }),
    setPreferences: offer(function (done, changes) {
      server.call("PATCH", "preferences", changes, function (reply) {
        if (reply.ok) asking.replan();
        done(reply);
      });
    }),
    setProfile: offer(function (done, changes) {
      server.call("PATCH", "profile", changes, done);
    }),
  };
}

module.exports = { createNotify: createNotify };
