"use strict";

// The five steps: which one is being worked at, which are done, and the way from one to the next by keyboard.
(() => {
  const here = window.composing;
  const NAMES = ["what", "whom", "when", "check", "submit"];
  let current = "what";
  let watcher = null;

  const section = (name) => document.getElementById(name);
  const filled = (name) => Boolean(here.form().elements[name]?.value.trim());

  function isDone(name) {
    const { template } = here.root().dataset;
    if (!template) return false;
    if (name === "what") {
      const words = [...here.form().querySelectorAll("[data-word]")];
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
    target.scrollIntoView({ block: "start" });
    const first = target.querySelector("input:not([type=hidden]):not([disabled]), select, textarea, [data-check-now], [data-submit]");
    const radio = target.querySelector("input[type=radio]:checked");
    (name === "when" && radio ? radio : first || target).focus({ preventScroll: true });
    arrive(name);
  };

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
    wrong.scrollIntoView({ block: "center" });
    wrong.querySelector("input:not([type=hidden]), select, textarea")?.focus({ preventScroll: true });
  };

  here.watchSteps = () => {
    watcher?.disconnect();
    watcher = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) if (entry.isIntersecting) arrive(entry.target.dataset.step);
      },
      // The step in the upper third of the window is the one being worked at.
      { rootMargin: "-30% 0px -65% 0px" },
    );
    for (const name of NAMES) watcher.observe(section(name));
  };

  // The last step is too short to reach the upper third.
  document.addEventListener(
    "scroll",
    () => {
      const page = document.documentElement;
      if (page.scrollTop > 0 && page.scrollTop + page.clientHeight >= page.scrollHeight - 4) arrive("submit");
    },
    { passive: true },
  );
})();
