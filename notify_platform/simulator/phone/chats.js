// WeChat's own pages: the list of chats, the service notifications, the mini-programs.

import { button, emblem, h, icon, notice } from "./dom.js";
import { badge, page } from "./frames.js";
import * as handset from "./handset.js";
import { choose, confirm, toast } from "./layer.js";
import { launch, openCard } from "./mini.js";
import { go } from "./routes.js";
import { redraw, remember, state, unread, update } from "./state.js";
import { day, explain, footer, moment } from "./words.js";

const STATES = { developer: "开发版", trial: "体验版" };

export function chats() {
  const newest = state.inbox.cards.at(-1);
  const news = unread();
  return page({
    title: "微信",
    className: "is-list",
    body: h(
      "ul",
      { class: "list" },
      entry({
        id: "to-notices",
        sign: h("span", { class: "emblem is-service" }, icon("bell")),
        title: "服务通知",
        text: newest ? `[${state.app.name}] ${newest.title}` : "小程序发来的提醒会出现在这里",
        time: newest && day(new Date(newest.at * 1000)),
        mark: news > 0 && badge(news),
        onclick: () => go("notices"),
      }),
      entry({
        id: "to-mini",
        sign: emblem(state.app.name, state.app.app_id),
        title: state.app.name,
        text: "小程序",
        onclick: launch,
      }),
    ),
  });
}

function entry({ id, sign, title, text, time, mark, onclick }) {
  return h(
    "li",
    {},
    button(
      { class: "entry", id, onclick },
      h("span", { class: "entry-sign" }, sign, mark),
      h("span", { class: "entry-words" }, h("span", { class: "entry-title" }, title), h("span", { class: "entry-text" }, text)),
      time && h("span", { class: "entry-time" }, time),
    ),
  );
}

export function minis() {
  return page({
    title: "小程序",
    className: "is-list",
    body: [
      h("h2", { class: "list-head" }, "最近使用"),
      h(
        "ul",
        { class: "list" },
        state.apps.map((app) =>
          entry({
            id: `app-${app.app_id}`,
            sign: emblem(app.name, app.app_id),
            title: app.name,
            text: app === state.app ? `${app.app_id} · 使用中` : app.app_id,
            onclick: () => (app === state.app ? launch() : go(`users/${app.app_id}`)),
          }),
        ),
      ),
    ],
  });
}

/** The cards, newest at the end; looking at them makes them read. */
export function notices() {
  const { cards, total } = state.inbox;
  markRead(cards);
  const body = cards.length
    ? [
        total > cards.length && h("p", { class: "stamp" }, `只显示最近 ${cards.length} 条，共 ${total} 条`),
        cards.map((card) => [h("p", { class: "stamp" }, moment(new Date(card.at * 1000))), cardOf(card)]),
      ]
    : notice({
        icon: "tray",
        title: "还没有收到提醒",
        text: "先在小程序里同意订阅，再到后台给这个用户发一个任务，卡片几秒后就会出现在这里。",
        actions: [button({ class: "primary", onclick: launch, id: "empty-to-mini" }, "去小程序订阅")],
      });
  return page({ title: "服务通知", back: "chats", className: "is-notices", body });
}

function markRead(cards) {
  const newest = cards.at(-1)?.msgid ?? "";
  if (!newest || newest === state.seen) return;
  state.seen = newest;
  remember(`seen.${state.app.app_id}.${state.openid}`, newest);
  redraw();
}

function cardOf(card) {
  const tag = STATES[card.miniprogram_state];
  return h(
    "article",
    { class: "card", "data-msgid": card.msgid },
    h(
      "header",
      {},
      emblem(state.app.name, state.app.app_id, "is-tiny"),
      h("span", { class: "card-app" }, state.app.name),
      tag && h("span", { class: "tag" }, tag),
      button({ class: "card-menu", id: `menu-${card.msgid}`, "aria-label": `管理「${card.title}」`, onclick: () => menu(card) }, icon("dots")),
    ),
    h("h2", {}, card.title || "（模板已删除）"),
    h(
      "dl",
      {},
      card.lines.map(({ label, value }) => h("div", {}, h("dt", {}, label), h("dd", {}, value))),
    ),
    card.page && button({ class: "card-foot", id: `open-${card.msgid}`, onclick: () => openCard(card) }, footer(card.lang), icon("next")),
  );
}

/** The "…" of a card: what WeChat calls managing messages. */
async function menu(card) {
  const chosen = await choose({
    title: `来自「${state.app.name}」的「${card.title}」`,
    choices: [
      { words: "拒收此类消息", value: "refuse", isDanger: true },
      { words: "订阅消息设置", value: "settings" },
    ],
  });
  if (chosen === "settings") go("settings");
  if (chosen === "refuse") await refuse(card);
}

async function refuse(card) {
  const isSure = await confirm({
    title: "拒收此类消息？",
    text: `不再接收「${card.title}」。之前同意的次数会作废，重新打开后也不会恢复。`,
    yes: "拒收",
    isDanger: true,
  });
  if (!isSure) return;
  try {
    await handset.turnOff(card.template_id);
    update({ settings: null });
    toast("已拒收", { isGood: true });
  } catch (error) {
    toast(explain(error, state.app)[0]);
  }
}
