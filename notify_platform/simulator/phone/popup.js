// WeChat's popup for wx.requestSubscribeMessage.

import { button, emblem, h, icon } from "./dom.js";
import { open } from "./layer.js";
import { state, template } from "./state.js";

/** Let the user answer; resolves to {answers: {template id: "accept" | "reject"}, keep}. Cancelling rejects all. */
export function askUser(templateIds) {
  const chosen = new Set(templateIds);
  const choice = { keep: false };
  const answers = (isAllowed) =>
    Object.fromEntries(templateIds.map((id) => [id, isAllowed && chosen.has(id) ? "accept" : "reject"]));
  // Escape comes without a word about the answer, so it is read when the layer has closed.
  return open((close) => popup(templateIds, { chosen, choice, close }), {
    kind: "sheet",
    label: "订阅消息授权",
    escape: false,
  }).then((isAllowed) => ({ answers: answers(isAllowed), keep: choice.keep }));
}

function popup(templateIds, { chosen, choice, close }) {
  const isLongTerm = template(templateIds[0]).kind !== "one_time";
  const allow = button({ class: "popup-allow", onclick: () => close(true) }, "允许");
  const isSingle = templateIds.length === 1;
  const tick = (id, isTicked) => {
    if (isTicked) chosen.add(id);
    else chosen.delete(id);
    allow.disabled = chosen.size === 0;
  };
  return h(
    "div",
    { class: "popup" },
    h("div", { class: "popup-head" }, emblem(state.app.name, state.app.app_id, "is-small"), h("span", {}, state.app.name), h("span", { class: "popup-asks" }, "申请")),
    h("h2", {}, isLongTerm ? "长期发送以下消息" : "发送一次以下消息"),
    h("ul", { class: "popup-list" }, templateIds.map((id) => row(template(id), { isSingle, onTick: (isTicked) => tick(id, isTicked) }))),
    h(
      "label",
      { class: "popup-keep" },
      h("input", { type: "checkbox", onchange: (event) => { choice.keep = event.target.checked; } }),
      h("span", { class: "ring" }, icon("check")),
      "总是保持以上选择，不再询问",
    ),
    h("div", { class: "popup-buttons" }, button({ class: "popup-refuse", onclick: () => close(false) }, "取消"), allow),
  );
}

/** One template: a tick of its own when there are several, and an example of its card behind the info sign. */
function row(each, { isSingle, onTick }) {
  const example = h("dl", { class: "popup-example", hidden: !isSingle }, exampleLines(each));
  const peek = button(
    {
      class: "popup-peek",
      "aria-label": `「${each.title}」的示例`,
      "aria-expanded": "false",
      onclick: () => {
        example.hidden = !example.hidden;
        peek.setAttribute("aria-expanded", String(!example.hidden));
      },
    },
    icon("info"),
  );
  return h(
    "li",
    {},
    h(
      "div",
      { class: "popup-row" },
      isSingle
        ? h("span", { class: "popup-title" }, each.title)
        : h(
            "label",
            { class: "popup-title" },
            h("input", { type: "checkbox", checked: true, onchange: (event) => onTick(event.target.checked) }),
            h("span", { class: "tick" }, icon("check")),
            each.title,
          ),
      !isSingle && each.lines.length > 0 && peek,
    ),
    each.lines.length > 0 && example,
  );
}

function exampleLines(each) {
  return each.lines.map(({ label, value }) => h("div", {}, h("dt", {}, label), h("dd", {}, value || "示例内容")));
}
