// The settings page of the mini-program in WeChat: the main switch, and a switch for each template ever answered.

import { button, h, icon, notice } from "./dom.js";
import { page } from "./frames.js";
import * as handset from "./handset.js";
import { confirm, toast } from "./layer.js";
import { launch } from "./mini.js";
import { state, template, update } from "./state.js";
import { explain, kind, stock } from "./words.js";

/** Fetch what the page shows; called when it is entered. */
export async function load() {
  try {
    update({ settings: await handset.settingsPage() });
  } catch (error) {
    update({ settings: { error } });
  }
}

export function settings() {
  return page({ title: "订阅消息", back: "mini", className: "is-settings", body: content(state.settings) });
}

function content(shown) {
  if (!shown) return h("p", { class: "waiting" }, h("span", { class: "spinner" }), "正在读取设置");
  if (shown.error) {
    const [title, text] = explain(shown.error, state.app);
    return notice({ icon: "unplugged", title, text, actions: [button({ class: "primary", onclick: load }, "重试")] });
  }
  return [
    h("ul", { class: "group" }, toggle({ id: "main-switch", title: "接收订阅消息", isOn: shown.main_switch, onchange: setMainSwitch })),
    h(
      "p",
      { class: "group-note" },
      shown.main_switch
        ? `关闭后，不再接收「${state.app.name}」的任何订阅消息；已同意的次数会保留。`
        : `已关闭，收不到「${state.app.name}」的任何订阅消息；重新打开后，已同意的次数可以继续使用。`,
    ),
    shown.templates.length ? templates(shown) : nothing(),
  ];
}

function templates(shown) {
  return [
    h("h2", { class: "group-head" }, "消息类型"),
    h(
      "ul",
      { class: "group" },
      shown.templates.map((each) =>
        toggle({
          id: `switch-${each.template_id}`,
          title: each.title,
          text: describe(each),
          isOn: each.is_on && shown.main_switch,
          isDisabled: !shown.main_switch,
          onchange: (isOn) => setTemplate(each, isOn),
        }),
      ),
    ),
    h("p", { class: "group-note" }, "关闭一类消息会作废已同意的次数；重新打开后，需要在小程序里再次同意。"),
  ];
}

function describe(each) {
  const facts = [kind(each.kind)];
  const known = state.mini.subscriptions[each.template_id];
  if (known && each.is_on) facts.push(stock(template(each.template_id), known)[0]);
  if (each.is_kept && each.is_on) facts.push("总是允许");
  if (!each.is_on) facts.push("不再询问");
  return facts.join(" · ");
}

function nothing() {
  return h(
    "div",
    { class: "group-empty" },
    h("p", {}, "还没有订阅过任何消息。"),
    button({ class: "link", onclick: launch }, "去小程序看看", icon("next")),
  );
}

/** A row with WeChat's switch. */
function toggle({ id, title, text, isOn, isDisabled, onchange }) {
  return h(
    "li",
    {},
    h(
      "label",
      { class: "toggle" },
      h("span", { class: "toggle-words" }, h("span", {}, title), text && h("small", {}, text)),
      h("input", {
        id,
        type: "checkbox",
        role: "switch",
        checked: isOn,
        disabled: isDisabled,
        onchange: (event) => onchange(event.target.checked),
      }),
      h("span", { class: "switch", "aria-hidden": "true" }),
    ),
  );
}

async function setMainSwitch(isOn) {
  await change(() => handset.setMainSwitch(isOn), isOn ? "已打开" : "已关闭");
}

async function setTemplate(each, isOn) {
  if (isOn) {
    await change(() => handset.turnOn(each.template_id), "已允许，下次会再询问");
    return;
  }
  const isSure = await confirm({
    title: `关闭「${each.title}」？`,
    text: "已同意的次数会作废，重新打开后也不会恢复。",
    yes: "关闭",
    isDanger: true,
  });
  if (isSure) await change(() => handset.turnOff(each.template_id), "已关闭");
  else await load();
}

/** Change something and show what came of it; a switch that could not be changed goes back. */
async function change(act, words) {
  try {
    await act();
    toast(words, { isGood: true });
  } catch (error) {
    toast(explain(error, state.app)[0]);
  }
  await load();
}
