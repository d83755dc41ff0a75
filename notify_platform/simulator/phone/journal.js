// The record beside the phone: what the mini-program called, in order. Only seen where there is room.

import { button, h, icon } from "./dom.js";
import { clock } from "./words.js";

const MOST = 60;
const SECRET = new Set(["token", "code"]);

const list = h("ol", { class: "journal-list" });
const empty = h("p", { class: "journal-empty" }, "打开小程序后，这里会依次列出它的每一次调用：wx 接口、平台接口，以及各自的结果。");

export function showJournal() {
  document.getElementById("journal").replaceChildren(
    h(
      "header",
      {},
      h("h2", {}, "调用记录"),
      button({ class: "quiet", onclick: clear, "aria-label": "清空调用记录" }, icon("again"), "清空"),
    ),
    empty,
    list,
  );
}

/** Add a call: its name, whether it was refused, HTTP status, how long it took, what was sent and what came. */
export function note({ name, refused, status, ms, sent, got }) {
  empty.hidden = true;
  list.prepend(
    h(
      "li",
      { class: refused ? "is-refused" : name.startsWith("GET ") ? "is-read" : "" },
      h(
        "details",
        {},
        h(
          "summary",
          {},
          h("span", { class: "journal-name" }, name),
          h("span", { class: "journal-facts" }, [gist(got), status || "无应答", `${Math.round(ms)} ms`, clock(new Date())].filter(Boolean).join(" · ")),
        ),
        sent !== undefined && h("pre", {}, `发出 ${shown(sent)}`),
        h("pre", {}, `收到 ${shown(got)}`),
      ),
    ),
  );
  while (list.children.length > MOST) list.lastChild.remove();
}

/** What an answer comes down to, where that can be said in a word or two. */
function gist(got) {
  if (got?.error) return got.error.code;
  if (got?.popup) return `询问 ${got.popup.length} 项`;
  if (got?.errCode) return `errCode ${got.errCode}`;
  const answers = Object.values(got ?? {}).filter((value) => value === "accept" || value === "reject");
  return [...new Set(answers)].map((word) => `${word} ${answers.filter((each) => each === word).length}`).join(" · ");
}

function clear() {
  list.replaceChildren();
  empty.hidden = false;
}

function shown(document_) {
  return JSON.stringify(document_, (name, value) => (SECRET.has(name) && typeof value === "string" ? "••••••" : value), 2);
}
