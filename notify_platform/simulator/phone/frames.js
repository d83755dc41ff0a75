// What every screen is framed by: WeChat's bar and tabs, the mini-program's bar with its capsule.

import { button, h, icon } from "./dom.js";
import { choose } from "./layer.js";
import { close, launch } from "./mini.js";
import { go, place } from "./routes.js";
import { state, unread } from "./state.js";

const TABS = [
  ["chats", "chats", "微信"],
  ["minis", "mini", "小程序"],
  ["me", "me", "我"],
];

/** A page of WeChat. `back` is where the arrow leads; without it the tabs are shown. */
export function page({ title, back, body, className = "" }) {
  return h(
    "div",
    { class: `page ${className}` },
    offline(),
    h("header", { class: "bar" }, back && arrow(back), h("h1", { tabindex: "-1", id: "title" }, title)),
    h("div", { class: "body", "data-scroll": title }, body),
    !back && tabs(),
  );
}

/** A page of the mini-program. `back` may be absent: then it is the first one. */
export function miniPage({ title, back, body, foot, className = "" }) {
  const isDeep = back !== undefined;
  return h(
    "div",
    { class: `page mini ${className}` },
    offline(),
    h(
      "header",
      { class: "bar" },
      isDeep && arrow(back.path, back.isHome),
      h("h1", { tabindex: "-1", id: "title" }, title),
      h(
        "div",
        { class: "capsule" },
        button({ "aria-label": "更多", onclick: menu, id: "capsule-menu" }, icon("more")),
        button({ "aria-label": "关闭小程序", id: "capsule-leave", onclick: () => go("chats") }, icon("leave")),
      ),
    ),
    h("div", { class: "body", "data-scroll": title }, body),
    foot && h("footer", { class: "foot" }, foot),
  );
}

function arrow(path, isHome = false) {
  return button(
    { class: "arrow", "aria-label": isHome ? "回到小程序首页" : "返回", onclick: () => go(path), id: "back" },
    icon(isHome ? "home" : "back"),
  );
}

async function menu() {
  const chosen = await choose({
    title: state.app.name,
    choices: [
      { words: "设置", value: "settings" },
      { words: "重新进入小程序", value: "again" },
    ],
  });
  if (chosen === "settings") go("settings");
  if (chosen === "again") {
    close();
    void launch();
  }
}

function tabs() {
  const here = place()[0];
  const news = unread();
  return h(
    "nav",
    { class: "tabs", "aria-label": "微信" },
    TABS.map(([path, sign, words]) =>
      button(
        { class: "tab", id: `tab-${path}`, "aria-current": here === path ? "page" : undefined, onclick: () => go(path) },
        h("span", { class: "tab-sign" }, icon(sign), path === "chats" && news > 0 && badge(news)),
        words,
      ),
    ),
  );
}

/** A red number. */
export function badge(number) {
  return h("span", { class: "badge" }, number > 99 ? "99+" : String(number), h("span", { class: "unseen" }, "条未读"));
}

function offline() {
  return state.isOffline && h("p", { class: "offline", role: "alert" }, icon("warning"), "模拟器没有应答，正在重新连接…");
}
