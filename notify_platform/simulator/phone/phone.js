// The page: who holds the phone, which screen is shown, and a look at the inbox every two seconds.

import { button, emblem, h, notice } from "./dom.js";
import { chats, minis, notices } from "./chats.js";
import { showGuide } from "./guide.js";
import * as handset from "./handset.js";
import { showJournal } from "./journal.js";
import { announce, escapeAll, hideBanner } from "./layer.js";
import { become, me, users } from "./me.js";
import { close, replanStale, start } from "./mini.js";
import { cardPage, home, scene } from "./mini-pages.js";
import { go, place } from "./routes.js";
import { load as loadSettings, settings } from "./settings.js";
import { listen, recall, redraw, state, update } from "./state.js";
import { clock, explain } from "./words.js";

const LOOK_MS = 2000;
const PAGES = { chats, notices, minis, me, users, settings, mini: miniPages };
// These keep what was typed into them, so they are drawn once.
const DRAWN_ONCE = new Set(["users"]);

const scrolled = new Map();
let shown = "";

function miniPages(part, code) {
  if (part === "scene") return scene(code);
  return part === "card" ? cardPage() : home();
}

function draw() {
  document.getElementById("clock").textContent = clock(new Date());
  showGuide();
  const screen = document.getElementById("screen");
  if (state.trouble) {
    shown = "";
    screen.replaceChildren(trouble(state.trouble));
    return;
  }
  if (!state.app) return;
  const [name, ...rest] = place();
  const here = place().join("/");
  if (here === shown && DRAWN_ONCE.has(name)) return;
  const focused = screen.contains(document.activeElement) ? document.activeElement.id : "";
  keepScroll(screen);
  const page = (PAGES[name] ?? chats)(...rest);
  page.classList.toggle("is-entering", here !== shown);
  screen.replaceChildren(page);
  const isSame = here === shown;
  const isFirst = shown === "";
  shown = here;
  if (!isFirst) restore(screen, { focused, isSame });
}

function keepScroll(screen) {
  const body = screen.querySelector(".body");
  if (body) scrolled.set(shown, body.scrollTop);
}

/** Put focus and scrolling back; a list of cards one has just come to is read from its end. */
function restore(screen, { focused, isSame }) {
  const body = screen.querySelector(".body");
  if (body) {
    const former = scrolled.get(shown);
    body.scrollTop = shown === "notices" && !isSame ? body.scrollHeight : (former ?? 0);
  }
  const target = isSame ? focused && document.getElementById(focused) : document.getElementById("title");
  target?.focus?.({ preventScroll: true });
}

/** Nothing can be shown: the simulator is away, or knows no mini-program. */
function trouble(error) {
  const [title, text] =
    error === "no apps"
      ? ["还没有小程序", "模拟器里没有小程序。请运行 make demo，或用 SimulatorControl.setup 建一个，再点「重试」。"]
      : explain(error, null);
  const again = button({ class: "primary", id: "retry", onclick: begin }, "重试");
  return h("div", { class: "page" }, h("div", { class: "body" }, notice({ icon: "unplugged", title, text, actions: [again] })));
}

/** Enter a place: fetch what it needs. */
function enter() {
  escapeAll();
  hideBanner();
  const [name] = place();
  if (!state.openid && name !== "users") {
    go("users", { replace: true });
    return;
  }
  if (!name) {
    go("chats", { replace: true });
    return;
  }
  if (name === "settings") {
    state.settings = null;
    void loadSettings();
  }
  if (name === "mini" && state.mini.status === "closed") void start();
  else if (name === "mini" && place().length === 1) replanStale();
  redraw();
  void look();
}

async function begin() {
  try {
    const { apps } = await handset.apps();
    if (!apps.length) {
      update({ trouble: "no apps" });
      return;
    }
    update({ apps, trouble: null });
    await choose(apps);
  } catch (error) {
    update({ trouble: error });
    return;
  }
  enter();
}

/** Take the user of the address, or of the last time, when the simulator still knows them. */
async function choose(apps) {
  const asked = new URLSearchParams(location.search);
  const appId = asked.get("app_id") ?? recall("app");
  const app = apps.find((each) => each.app_id === appId) ?? apps[0];
  const openid = asked.get("openid") ?? recall(`openid.${app.app_id}`);
  const { users: found } = openid ? await handset.findUsers(openid, app) : { users: [] };
  if (found.some((each) => each.openid === openid)) become(app, openid);
  else update({ app });
}

/** Look for new cards; say so at the top of the phone when there are some. */
async function look() {
  if (document.hidden || !state.openid) return;
  const { app, openid } = state;
  try {
    const inbox = await handset.inbox();
    if (app !== state.app || openid !== state.openid) return;
    const newest = inbox.cards.at(-1);
    const isNews = newest && newest.msgid !== state.inbox.cards.at(-1)?.msgid;
    const isFirstLook = !state.inbox.isKnown;
    if (isNews && !isFirstLook && place()[0] !== "notices") tell(newest);
    if (isNews || isFirstLook || state.isOffline) update({ inbox: { ...inbox, isKnown: true }, isOffline: false });
  } catch (error) {
    if (error.code === "no_user") forgetUser();
    else if (error.code === "no_app") forgetEverything();
    else if (!state.isOffline) update({ isOffline: true });
  }
}

function tell(card) {
  announce({
    emblem: emblem(state.app.name, state.app.app_id, "is-small"),
    title: state.app.name,
    text: [card.title, ...card.lines.map((line) => line.value)].join(" · "),
    onclick: () => go("notices"),
  });
}

/** The simulator was reset and does not know this user any more. */
function forgetUser() {
  close();
  update({ openid: "" });
  go("users");
}

/** The simulator was reset and has other mini-programs, or none. */
function forgetEverything() {
  escapeAll();
  close();
  update({ openid: "", app: null, apps: [] });
  void begin();
}

listen(draw);
showJournal();
window.addEventListener("hashchange", enter);
document.addEventListener("visibilitychange", look);
setInterval(look, LOOK_MS);
setInterval(() => {
  document.getElementById("clock").textContent = clock(new Date());
}, 10_000);
void begin();
