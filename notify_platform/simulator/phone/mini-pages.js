// What the mini-program shows: its scenes, the words before the popup, the page a card leads to.

import { button, h, hue, icon, notice } from "./dom.js";
import { miniPage } from "./frames.js";
import { ask, flush, replan, reportOpening, start } from "./mini.js";
import { go } from "./routes.js";
import { state, template } from "./state.js";
import { explain, kind, stock } from "./words.js";

export function home() {
  const { mini, app } = state;
  if (mini.status !== "ready") return miniPage({ title: app.name, body: unready(mini) });
  return miniPage({
    title: app.name,
    className: "is-home",
    body: [
      h(
        "section",
        { class: `hero hue-${hue(app.app_id)}` },
        h("p", {}, `模拟用户 ${state.openid.slice(-4)}，你好`),
        h("h2", {}, "需要的时候，提醒你一声"),
        h("span", { class: "hero-sign" }, icon("bell")),
      ),
      unsent(mini),
      h("h2", { class: "section-head" }, "在哪里可以订阅"),
      app.scenes.length ? h("ul", { class: "scenes" }, app.scenes.map(sceneEntry)) : noScenes(),
      h("h2", { class: "section-head" }, "我的订阅"),
      stocks(mini),
    ],
  });
}

/** Starting, or why it could not. */
function unready({ status, error }) {
  if (status !== "failed") return h("p", { class: "waiting is-tall" }, h("span", { class: "spinner" }), "正在打开小程序");
  const [title, text] = explain(error, state.app);
  return notice({
    icon: "unplugged",
    title,
    text,
    actions: [button({ class: "primary", onclick: start, id: "retry" }, "重试")],
  });
}

function unsent({ unsent: waiting }) {
  if (!waiting.length) return null;
  return h(
    "p",
    { class: "unsent", role: "alert" },
    icon("warning"),
    h("span", {}, `有 ${waiting.length} 次回答还没有报给平台。`),
    button({ class: "link", onclick: () => flush(), id: "flush" }, "现在重试"),
  );
}

function noScenes() {
  return notice({
    icon: "tray",
    title: "还没有场景",
    text: "场景是请求订阅的时机。请在后台新建场景，并在模拟器的 setup 里用 scenes 写上它的编码和名称。",
  });
}

function sceneEntry(scene) {
  const known = state.mini.plans[scene.code];
  const ids = known?.plan?.template_ids ?? [];
  return h(
    "li",
    {},
    button(
      { class: "scene", id: `scene-${scene.code}`, onclick: () => enter(scene, known?.plan) },
      h("span", { class: `scene-sign hue-${hue(scene.code)}` }, [...scene.name][0]),
      h(
        "span",
        { class: "scene-words" },
        h("span", { class: "scene-name" }, scene.name),
        h("span", { class: "scene-text" }, summary(known)),
        ids.length > 0 && h("span", { class: "chips" }, ids.map(stockChip)),
      ),
      icon("next"),
    ),
  );
}

function summary(known) {
  if (!known) return "正在准备…";
  if (known.error) return explain(known.error, state.app)[0];
  if (!known.plan.template_ids.length) return "现在不需要询问";
  return known.plan.silent_top_up ? "你已选择总是允许，点一下就补充一次" : known.plan.words;
}

/** A tap on a scene: the words first; where WeChat will not ask, this tap is enough. */
function enter(scene, plan) {
  if (plan?.silent_top_up && plan.template_ids.length) {
    void ask(scene);
    return;
  }
  void replan(scene.code);
  go(`mini/scene/${encodeURIComponent(scene.code)}`);
}

function stockChip(id) {
  const each = template(id);
  const [words, tone] = stock(each, state.mini.subscriptions[id]);
  return h("span", { class: `chip is-${tone}` }, each.title, h("b", {}, words));
}

function stocks(mini) {
  const ids = Object.keys(mini.subscriptions);
  if (!ids.length) return h("p", { class: "hint" }, "还没有订阅。点上面的一个场景试试。");
  return h(
    "ul",
    { class: "stocks" },
    ids.map((id) => {
      const each = template(id);
      const [words, tone] = stock(each, mini.subscriptions[id]);
      return h(
        "li",
        {},
        h("span", { class: "stock-title" }, each.title, h("small", {}, expiry(mini.subscriptions[id], each))),
        h("b", { class: `is-${tone}` }, words),
      );
    }),
  );
}

function expiry({ available, expires_at: at }, each) {
  if (!available || !at || each.kind !== "one_time") return kind(each.kind);
  const date = new Date(at);
  return `${kind(each.kind)} · ${date.getMonth() + 1}月${date.getDate()}日前有效`;
}

/** The words before the popup. */
export function scene(code) {
  const { app, mini } = state;
  const here = app.scenes.find((each) => each.code === code);
  const back = { path: "mini" };
  if (!here) {
    return miniPage({ title: app.name, back, body: notice({ icon: "tray", title: "没有这个场景", text: `模拟器的 setup 里没有编码为 ${code} 的场景。` }) });
  }
  if (mini.status !== "ready") return miniPage({ title: here.name, back, body: unready(mini) });
  const known = mini.plans[code];
  if (!known) return miniPage({ title: here.name, back, body: h("p", { class: "waiting is-tall" }, h("span", { class: "spinner" }), "正在准备") });
  if (known.error) return miniPage({ title: here.name, back, body: planError(here, known.error) });
  return known.plan.template_ids.length ? question(here, known.plan, back) : silence(here, known.plan, back);
}

function planError(here, error) {
  const isAboutScene = [400, 404, 422].includes(error.status);
  const [title, text] = isAboutScene
    ? ["没能取到这个场景", `${error.message}（${error.code}）请在后台检查编码为「${here.code}」的场景，再点「重试」。`]
    : explain(error, state.app);
  const again = button({ class: "primary", onclick: () => replan(here.code), id: "retry" }, "重试");
  return notice({ icon: isAboutScene ? "warning" : "unplugged", title, text, actions: [again] });
}

function question(here, plan, back) {
  const { mini } = state;
  const stocked = plan.template_ids.some((id) => mini.subscriptions[id]?.available > 0);
  return miniPage({
    title: here.name,
    back,
    className: "is-ask",
    body: [
      unsent(mini),
      h(
        "section",
        { class: "ask" },
        h("span", { class: `ask-sign hue-${hue(here.code)}` }, icon("bell")),
        h("h2", {}, plan.words),
        h("p", {}, plan.template_ids.length > 1 ? "点下面的按钮后，微信会逐项征求你的同意。" : "点下面的按钮后，微信会征求你的同意。"),
      ),
      h("ul", { class: "ask-list" }, plan.template_ids.map(askRow)),
      reasons(plan.reasons, "这次没有包括"),
    ],
    foot: [
      button({ class: "primary is-wide", id: "ask", onclick: () => void ask(here) }, stocked ? "再提醒我一次" : "好的，提醒我"),
      button({ class: "plain", id: "not-now", onclick: () => go("mini") }, "暂不需要"),
    ],
  });
}

function askRow(id) {
  const each = template(id);
  const [words, tone] = stock(each, state.mini.subscriptions[id]);
  return h("li", {}, h("span", { class: "stock-title" }, each.title, h("small", {}, kind(each.kind))), h("b", { class: `is-${tone}` }, words));
}

/** Nothing to ask, because …: a proper answer of the planner. */
function silence(here, plan, back) {
  return miniPage({
    title: here.name,
    back,
    body: [
      unsent(state.mini),
      notice({ icon: "check", title: "现在不需要询问", text: plan.reasons?.length ? "" : "这个场景没有可以请求的模板。请在后台给它添加模板。" }),
      reasons(plan.reasons, "原因"),
    ],
    foot: [button({ class: "plain is-wide", id: "not-now", onclick: () => go("mini") }, "返回首页")],
  });
}

function reasons(list, title) {
  if (!list?.length) return null;
  return [
    h("h2", { class: "section-head" }, title),
    h(
      "ul",
      { class: "reasons" },
      list.map(({ template_id: id, message, code }) =>
        h("li", {}, id && h("strong", {}, template(id).title), h("span", {}, message || code)),
      ),
    ),
  ];
}

/** The page a card opened, with what was reported about it. */
export function cardPage() {
  const { mini, app } = state;
  const { opening } = mini;
  const back = { path: "mini", isHome: true };
  if (!opening) return miniPage({ title: app.name, back, body: notice({ icon: "tray", title: "这个页面已经关闭", text: "请到「服务通知」里再点一次卡片。", actions: [button({ class: "primary", onclick: () => go("notices") }, "去服务通知")] }) });
  if (mini.status === "failed") return miniPage({ title: app.name, back, body: lost(mini.error) });
  return miniPage({
    title: app.name,
    back,
    className: "is-card-page",
    body: [
      h(
        "section",
        { class: `hero hue-${hue(app.app_id)}` },
        h("p", {}, "从服务通知打开"),
        h("h2", {}, opening.title || "小程序页面"),
        h("span", { class: "hero-sign" }, icon("bell")),
      ),
      h("div", { class: "reported", role: "status", id: "reported" }, reported(opening.report)),
      h("h2", { class: "section-head" }, "打开的页面"),
      h(
        "dl",
        { class: "facts" },
        h("div", {}, h("dt", {}, "路径"), h("dd", {}, opening.path)),
        opening.query.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
      ),
    ],
    foot: [button({ class: "plain is-wide", id: "to-home", onclick: () => go("mini") }, "去小程序首页")],
  });
}

function lost(error) {
  const [title, text] = explain(error, state.app);
  return notice({ icon: "unplugged", title, text, actions: [button({ class: "primary", onclick: reportOpening, id: "retry" }, "重试")] });
}

function reported(report) {
  if (report === "under way") return [h("span", { class: "spinner" }), "正在上报这次打开…"];
  if (report === "done") return [icon("check", "is-good"), "打开已上报，平台记下了这次点击"];
  if (report === "no key") return [icon("info"), "卡片没有带 nk，只上报了一次访问"];
  const [title] = explain(report, state.app);
  return [icon("warning", "is-bad"), `没能上报：${title}`, button({ class: "link", onclick: reportOpening, id: "retry" }, "重试")];
}
