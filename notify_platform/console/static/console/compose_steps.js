"use strict";

// The five steps: which one is being worked at, which are done, and the way from one to the next by keyboard.
(() => {
  const here = window.composing;
  const NAMES = ["what", "whom", "when", "check", "submit"];
  let current = "what";
  // Somebody who asked for a step is there, wherever the window could scroll to.
  let settledAt = 0;

  const section = (name) => document.getElementById(name);
  const filled = (name) => Boolean(here.form().elements[name]?.value.trim());

  function isDone(name) {
    const { template } = here.root().dataset;
    if (!template) return false;
    if (name === "what") {
      const words = [...here.form().querySelectorAll("[data-word]:not(:disabled)")];
      return words.every((input) => input.value.trim()) && filled("name") && filled("purpose");
    }
    if (name === "whom") return filled("audience");
    if (name === "when") return true;
    return name === "check" && here.isChecked();
  }

  function stateOf(name) {
    if (section(name).querySelector(".compose-wrong, .desk-over, [data-mends]")) return "wrong";
    return isDone(name) ? "done" : "open";
  }

  here.showSteps = () => {
    here.markVariants();
    for (const name of NAMES) {
      const link = document.querySelector(`[data-step-link="${name}"]`);
      const state = stateOf(name);
      link.dataset.state = state;
      link.querySelector("[data-step-state]").textContent = here.say(state);
      if (name === current) link.setAttribute("aria-current", "step");
      else link.removeAttribute("aria-current");
    }
    const next = NAMES[NAMES.indexOf(current) + 1];
    const button = here.part("next");
    if (button && next) button.textContent = here.say("next", { step: nameOf(next) });
    if (button) button.hidden = !next;
  };

  function nameOf(name) {
    return document.querySelector(`[data-step-link="${name}"] .compose-step-name`).textContent;
  }

  function arrive(name) {
    if (name === current) return;
    current = name;
    here.showSteps();
    if (name === "check" || name === "submit") here.check();
  }

  here.goTo = (name) => {
    const target = section(name);
    settledAt = Date.now() + 400;
    target.scrollIntoView({ block: "start" });
    const able = "input:not([type=hidden]):not([disabled]), select, textarea, [data-check-now], [data-submit]";
    const first = [...target.querySelectorAll(able)].find((input) => input.offsetParent !== null);
    const radio = target.querySelector("input[type=radio]:checked");
    (name === "when" && radio ? radio : first || target).focus({ preventScroll: true });
    arrive(name);
    if (name === "check") here.check().then(() => show(target));
  };

  // What has just come made the page longer: the step that was asked for can come up to its place now.
  function show(target) {
    if (current !== target.dataset.step) return;
    settledAt = Date.now() + 400;
    target.scrollIntoView({ block: "start" });
  }

  here.goNext = () => {
    const at = document.activeElement?.closest("[data-step]")?.dataset.step || current;
    const next = NAMES[NAMES.indexOf(at) + 1];
    if (next) here.goTo(next);
    else here.submit();
  };

  // The first input with something wrong gets the focus.
  here.goWrong = () => {
    const wrong = here.form().querySelector(".compose-wrong");
    if (!wrong) return;
    wrong.closest("details")?.setAttribute("open", "");
    here.reveal(wrong);
    wrong.scrollIntoView({ block: "center" });
    wrong.querySelector("input:not([type=hidden]), select, textarea")?.focus({ preventScroll: true });
  };

  // The step whose head has passed the upper third of the window is the one being worked at; at the very end of the page
  // it is the last one, which is too short to come so high.
  function locate() {
    if (Date.now() < settledAt) return;
    const page = document.documentElement;
    const isEnd = page.scrollTop > 0 && page.scrollTop + page.clientHeight >= page.scrollHeight - 4;
    const passed = NAMES.filter((name) => section(name).getBoundingClientRect().top <= page.clientHeight / 3);
    arrive(isEnd ? "submit" : passed.at(-1) || "what");
  }

  let frame = 0;
  document.addEventListener(
    "scroll",
    () => {
      window.cancelAnimationFrame(frame);
      frame = window.requestAnimationFrame(locate);
    },
    { passive: true },
  );
})();
