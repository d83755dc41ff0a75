"use strict";

// The words of the card: counted as WeChat counts them, drawn on the card with a real person's values, cut where that is
// allowed, with the person's values put in by a click. Only a help: the server checks everything again.
(() => {
  const here = window.composing;
  const PLACEHOLDER = /\{\{\s*([a-z][a-z0-9_.]*)\s*(?:\|([^{}|]*))?\}\}/g;
  const HAN = /\p{Script=Han}/u;
  let values = {};

  here.useValues = (found, whose) => {
    values = found;
    here.part("card-note").textContent = whose;
    here.showWords();
  };

  here.readValues = () => {
    const holder = document.getElementById("desk-sample-values");
    values = holder ? JSON.parse(holder.textContent) : {};
  };

  const inputs = () => here.form().querySelectorAll("[data-word]");

  function written(text) {
    return text
      .replace(PLACEHOLDER, (whole, name, fallback) => values[name] || (fallback || "").trim() || whole)
      .trim();
  }

  // A character beyond U+FFFF counts as two, which is just what a script's length says.
  function count(input, text) {
    return input.dataset.counts === "digits" ? (text.match(/[0-9]/g) || []).length : text.length;
  }

  function limitOf(input, text) {
    const chinese = input.dataset.limitChinese;
    return Number(chinese && HAN.test(text) ? chinese : input.dataset.limit);
  }

  function cut(input, text, limit) {
    let room = limit - input.dataset.ending.length;
    let kept = "";
    for (const { segment } of new Intl.Segmenter("zh", { granularity: "grapheme" }).segment(text)) {
      room -= segment.length;
      if (room < 0) break;
      kept += segment;
    }
    return kept.trimEnd() + input.dataset.ending;
  }

  function isCut(input) {
    const box = here.form().querySelector(`[data-fit="${CSS.escape(input.dataset.word)}"]`);
    return Boolean(box && box.checked);
  }

  function counterOf(input) {
    const next = input.nextElementSibling;
    if (next && next.classList.contains("desk-counter")) return next;
    const counter = document.createElement("span");
    counter.className = "desk-counter";
    counter.id = `${input.id}_count`;
    input.insertAdjacentElement("afterend", counter);
    const ids = (input.getAttribute("aria-describedby") || "").split(" ").filter(Boolean);
    input.setAttribute("aria-describedby", [...ids, counter.id].join(" "));
    return counter;
  }

  function show(input) {
    let text = written(input.value);
    if (input.dataset.limit) {
      const counter = counterOf(input);
      const limit = limitOf(input, text);
      const number = count(input, text);
      const tooLong = number > limit;
      const shortened = tooLong && isCut(input);
      counter.textContent = shortened ? here.say("cut", { count: number, limit }) : `${number}/${limit}`;
      const wasOver = counter.classList.contains("desk-over");
      counter.classList.toggle("desk-over", tooLong && !shortened);
      if (tooLong && !shortened && !wasOver) here.tell(here.say("over", { label: input.dataset.label, count: number, limit }));
      if (shortened) text = cut(input, text, limit);
    }
    const line = document.querySelector(`[data-card-line="${CSS.escape(input.dataset.key)}"]`);
    if (line && !input.closest("[data-variant]").hidden) {
      line.textContent = text || line.dataset.example || "—";
      line.classList.toggle("desk-pale", !text);
    }
  }

  here.showWords = () => {
    for (const input of inputs()) show(input);
    const foot = document.querySelector("[data-card] .desk-card-foot");
    const page = document.querySelector("[data-variant]:not([hidden]) [data-page]");
    if (foot && page) foot.hidden = !page.value.trim();
  };

  here.insert = (button) => {
    const input = document.getElementById(button.dataset.into);
    const start = input.selectionStart ?? input.value.length;
    input.setRangeText(button.dataset.insert, start, input.selectionEnd ?? start, "end");
    input.focus();
    input.dispatchEvent(new Event("input", { bubbles: true }));
  };

  // Another template's words: what was said under the same label or in the same field stays said.
  here.carry = (kept, labels) => {
    for (const input of inputs()) {
      const found = labels[input.dataset.label] ?? kept[input.name];
      if (!found || input.value) continue;
      if (input.tagName === "SELECT" && ![...input.options].some((option) => option.value === found)) continue;
      input.value = found;
    }
  };

  here.labels = () => Object.fromEntries([...inputs()].filter((input) => input.value).map((input) => [input.dataset.label, input.value]));
})();
