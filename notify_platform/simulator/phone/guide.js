// The words beside the phone, where there is room: what this is, and three steps that tick themselves off.

import { button, h, icon } from "./dom.js";
import { copyOpenid } from "./me.js";
import { state } from "./state.js";

const STEPS = [
  ["同意一次订阅", "打开小程序，点一个场景，在微信弹窗里选「允许」。", () => state.mini.hasAgreed || state.inbox.total > 0 || holdsStock()],
  ["收到一张卡片", "到后台建一个发送任务，人群选「全部用户」，请另一个账号通过，再点「开始」；卡片会出现在「服务通知」。", () => state.inbox.total > 0],
  ["点开卡片", "小程序打开对应页面，平台记下这次点击。", () => state.mini.hasOpened],
];

function holdsStock() {
  return Object.values(state.mini.subscriptions).some((each) => each.available > 0 || each.state === "on");
}

export function showGuide() {
  document.getElementById("guide").replaceChildren(
    h("p", { class: "guide-kicker" }, "订阅消息运营平台"),
    h("h1", {}, "模拟手机"),
    h("p", { class: "guide-lead" }, "做一回小程序的用户。这里的弹窗、卡片和回调都走真实的协议，只有微信是模拟的。"),
    h(
      "ol",
      { class: "steps" },
      STEPS.map(([title, text, isDone], at) => {
        const done = Boolean(state.app && isDone());
        return h(
          "li",
          { class: done ? "is-done" : "" },
          h("span", { class: "step-sign" }, done ? icon("check") : String(at + 1)),
          h("div", {}, h("h2", {}, title, done && h("span", { class: "unseen" }, "（已完成）")), h("p", {}, text)),
        );
      }),
    ),
    state.openid ? holder() : "",
  );
}

function holder() {
  return h(
    "div",
    { class: "holder" },
    h("p", {}, "这部手机的用户"),
    h("p", { class: "openid" }, state.openid),
    button({ class: "quiet", onclick: copyOpenid }, icon("copy"), "复制 openid"),
  );
}
