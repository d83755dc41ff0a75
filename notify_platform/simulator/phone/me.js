// Who holds the phone: the user of this page, and the way to become another.

import { button, emblem, h, icon, notice } from "./dom.js";
import { page } from "./frames.js";
import * as handset from "./handset.js";
import { toast } from "./layer.js";
import { close, launch } from "./mini.js";
import { go } from "./routes.js";
import { recall, remember, state, update } from "./state.js";
import { day, explain, short } from "./words.js";

const TYPING_PAUSE_MS = 200;

export function me() {
  return page({
    title: "我",
    className: "is-list",
    body: [
      h(
        "section",
        { class: "self" },
        emblem(state.openid.slice(-1).toUpperCase(), state.openid, "is-large"),
        h(
          "div",
          { class: "self-words" },
          h("h2", {}, `模拟用户 ${state.openid.slice(-4)}`),
          h("p", { class: "openid" }, state.openid),
        ),
        button({ class: "round", "aria-label": "复制 openid", onclick: copyOpenid, id: "copy" }, icon("copy")),
      ),
      h(
        "ul",
        { class: "list" },
        line({ id: "to-users", sign: "people", words: "切换用户", onclick: () => go("users") }),
        line({ id: "to-settings", sign: "gear", words: `「${state.app.name}」订阅消息设置`, onclick: () => go("settings") }),
      ),
    ],
  });
}

function line({ id, sign, words, onclick }) {
  return h("li", {}, button({ class: "line", id, onclick }, icon(sign), h("span", {}, words), icon("next", "line-next")));
}

/** Put the openid where it can be pasted into the desk's search. */
export async function copyOpenid() {
  try {
    await navigator.clipboard.writeText(state.openid);
    toast("openid 已复制", { isGood: true });
  } catch {
    toast("浏览器不允许复制，请手动选择 openid");
  }
}

/** Take the phone of a user; what the former one did is forgotten here. */
export function become(app, openid) {
  close();
  update({ app, openid, inbox: { total: 0, cards: [] }, settings: null, seen: recall(`seen.${app.app_id}.${openid}`) });
  remember("app", app.app_id);
  remember(`openid.${app.app_id}`, openid);
}

/** The list of users, with a search; it keeps its own nodes, so that typing is never interrupted. */
export function users(appId) {
  const app = state.apps.find((each) => each.app_id === appId) ?? state.app ?? state.apps[0];
  const results = h("div", { class: "found", "aria-live": "polite" }, h("p", { class: "waiting" }, h("span", { class: "spinner" }), "正在读取用户"));
  const field = h("input", {
    type: "search",
    id: "search",
    placeholder: "按 openid 开头查找",
    "aria-label": "按 openid 开头查找",
    autocomplete: "off",
    spellcheck: "false",
  });
  const search = () => fill(results, app, field.value.trim());
  let pause = 0;
  field.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(search, TYPING_PAUSE_MS);
  });
  void search();
  return page({
    title: state.openid ? "切换用户" : "选择用户",
    back: state.openid ? "me" : undefined,
    className: `is-list is-users${state.openid ? "" : " is-first"}`,
    body: [
      !state.openid && h("p", { class: "lead" }, "先选一个用户：你将拿着他的手机，同意订阅、收到卡片、点开卡片。"),
      state.apps.length > 1 && choiceOfApp(app),
      h("label", { class: "search" }, icon("search"), field),
      button({ class: "entry new-user", id: "new-user", onclick: () => begin(app) }, h("span", { class: "entry-sign" }, h("span", { class: "emblem is-new" }, icon("plus"))), h("span", { class: "entry-words" }, h("span", { class: "entry-title" }, "新用户"), h("span", { class: "entry-text" }, "生成一个 openid，从没订阅过"))),
      results,
    ],
  });
}

function choiceOfApp(chosen) {
  return h(
    "div",
    { class: "app-choice", role: "group", "aria-label": "小程序" },
    state.apps.map((app) =>
      button({ class: "chip", "aria-pressed": String(app === chosen), onclick: () => go(`users/${app.app_id}`) }, app.name),
    ),
  );
}

async function begin(app) {
  try {
    const { openid } = await handset.addUser(app);
    enter(app, openid);
    toast("已生成新用户", { isGood: true });
  } catch (error) {
    toast(explain(error, app)[0]);
  }
}

function enter(app, openid) {
  become(app, openid);
  void launch();
}

async function fill(results, app, prefix) {
  try {
    const { users: found, total } = await handset.findUsers(prefix, app);
    results.replaceChildren(found.length ? listOf(app, found, total) : nobody(prefix));
  } catch (error) {
    const [title, text] = explain(error, app);
    const again = button({ class: "primary", onclick: () => fill(results, app, prefix) }, "重试");
    results.replaceChildren(notice({ icon: "unplugged", title, text, actions: [again] }));
  }
}

function listOf(app, found, total) {
  const rows = found.map(({ openid, cards, visited_at: at, main_switch: isOn }) =>
    h(
      "li",
      {},
      button(
        { class: "entry", id: `user-${openid}`, "aria-current": openid === state.openid && app === state.app ? "true" : undefined, onclick: () => enter(app, openid) },
        h("span", { class: "entry-sign" }, emblem(openid.slice(-1).toUpperCase(), openid)),
        h(
          "span",
          { class: "entry-words" },
          h("span", { class: "entry-title openid", title: openid }, short(openid)),
          h("span", { class: "entry-text" }, [cards ? `收到 ${cards} 条` : "没收到过提醒", !isOn && "已关闭订阅消息"].filter(Boolean).join(" · ")),
        ),
        at > 0 && h("span", { class: "entry-time" }, day(new Date(at * 1000))),
      ),
    ),
  );
  return h(
    "div",
    {},
    h("h2", { class: "list-head" }, total > found.length ? `最近的 ${found.length} 位，共 ${total} 位` : `${total} 位用户`),
    h("ul", { class: "list" }, rows),
  );
}

function nobody(prefix) {
  return prefix
    ? notice({ icon: "search", title: "没有这样的用户", text: "openid 区分大小写，从第一个字符开始匹配。也可以点「新用户」生成一个。" })
    : notice({ icon: "me", title: "还没有用户", text: "点上面的「新用户」，马上就能体验整个流程。" });
}
