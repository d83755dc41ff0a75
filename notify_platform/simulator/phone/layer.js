// What lies over the screen: sheets, dialogs, a toast, a banner. While a layer is open nothing else can be reached.

import { button, h, icon } from "./dom.js";

const root = () => document.getElementById("layers");
const others = () => document.querySelectorAll("#screen, #guide, #journal, #banner");
const TOAST_MS = 2200;
const BANNER_MS = 5000;

let closeOpen = () => {};

/**
 * Open a layer; `build(close)` makes its content. Resolves to what `close` is given; Escape closes with `escape`.
 * `kind`: "sheet" comes from below, "dialog" stands in the middle; `isLight`: a tap beside it closes it as well.
 */
export function open(build, { kind, label, escape, isLight = false }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const listenToEscape = (event) => event.key === "Escape" && close(escape);
    const close = (result) => {
      closeOpen = () => {};
      document.removeEventListener("keydown", listenToEscape);
      layer.remove();
      for (const each of others()) each.inert = false;
      const back = before?.isConnected ? before : document.getElementById(before?.id ?? "");
      back?.focus({ preventScroll: true });
      resolve(result);
    };
    const panel = h("div", { class: `panel ${kind}`, role: "dialog", "aria-modal": "true", "aria-label": label, tabindex: "-1" });
    panel.append(build(close));
    const layer = h("div", { class: `layer of-${kind}` }, panel);
    if (isLight) layer.addEventListener("click", (event) => event.target === layer && close(escape));
    document.addEventListener("keydown", listenToEscape);
    closeOpen();
    closeOpen = () => close(escape);
    root().replaceChildren(layer);
    for (const each of others()) each.inert = true;
    panel.focus({ preventScroll: true });
  });
}

/** Close whatever is open, as Escape does: the screen under it has changed. */
export function escapeAll() {
  closeOpen();
}

/** Ask yes or no; resolves to true or false. */
export function confirm({ title, text, yes, no = "取消", isDanger = false }) {
  return open(
    (close) =>
      h(
        "div",
        { class: "confirm" },
        h("div", { class: "confirm-words" }, h("h2", {}, title), h("p", {}, text)),
        h(
          "div",
          { class: "confirm-buttons" },
          button({ onclick: () => close(false) }, no),
          button({ class: isDanger ? "is-danger" : "is-main", onclick: () => close(true) }, yes),
        ),
      ),
    { kind: "dialog", label: title, escape: false },
  );
}

/** Offer actions; resolves to the chosen one's value, or null. `choices`: [{words, value, isDanger?}]. */
export function choose({ title, choices }) {
  return open(
    (close) =>
      h(
        "div",
        { class: "choices" },
        h("p", { class: "choices-title" }, title),
        choices.map(({ words, value, isDanger }) =>
          button({ class: `choice${isDanger ? " is-danger" : ""}`, onclick: () => close(value) }, words),
        ),
        button({ class: "choice is-cancel", onclick: () => close(null) }, "取消"),
      ),
    { kind: "sheet", label: title, escape: null, isLight: true },
  );
}

let toastEnds = 0;

/** Say something in passing. */
export function toast(words, { isGood = false } = {}) {
  const place = document.getElementById("toast");
  place.replaceChildren(h("span", { class: "toast-words" }, isGood && icon("check"), words));
  place.classList.add("is-shown");
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => place.classList.remove("is-shown"), TOAST_MS);
}

let bannerEnds = 0;

/** Announce a card at the top of the phone, as the system does. */
export function announce({ emblem, title, text, onclick }) {
  const place = document.getElementById("banner");
  const hide = () => place.classList.remove("is-shown");
  place.replaceChildren(
    button(
      {
        class: "banner-card",
        onclick: () => {
          hide();
          onclick();
        },
      },
      emblem,
      h("span", { class: "banner-words" }, h("strong", {}, title), h("span", {}, text)),
      h("span", { class: "banner-time" }, "现在"),
    ),
  );
  place.classList.add("is-shown");
  clearTimeout(bannerEnds);
  bannerEnds = setTimeout(hide, BANNER_MS);
}

export function hideBanner() {
  document.getElementById("banner").classList.remove("is-shown");
}
