"use strict";

// Several variants of one card: the page has a place for each there may be, and a number says how many are in use. One is
// shown at a time, on the card too; what is in no use is disabled, so that it is neither sent nor asked for.
(() => {
  const here = window.composing;
  const INPUTS = "input, select, textarea";
  let shown = "";

  const number = () => here.form().elements.variants;
  const panels = () => [...here.form().querySelectorAll("[data-variant]")];
  const inUse = () => panels().slice(0, Number(number().value) || 1);
  const inputs = (panel) => [...panel.querySelectorAll(INPUTS)];
  const nameOf = (panel) => panel.dataset.variant;

  here.shownVariant = () => shown;

  here.showVariants = () => {
    const used = inUse();
    if (!used.some((panel) => nameOf(panel) === shown)) shown = nameOf(used[0]);
    for (const panel of panels()) {
      const isUsed = used.includes(panel);
      panel.hidden = nameOf(panel) !== shown;
      for (const input of inputs(panel)) input.disabled = !isUsed;
    }
    const several = used.length > 1;
    for (const tab of here.form().querySelectorAll("[data-variant-tab]")) {
      const panel = used.find((each) => nameOf(each) === tab.dataset.variantTab);
      tab.hidden = !several || !panel;
      tab.setAttribute("aria-pressed", String(tab.dataset.variantTab === shown));
    }
    here.part("add-variant").hidden = used.length === panels().length;
    here.part("drop-variant").hidden = here.part("several").hidden = !several;
  };

  // On each tab whether something is to be mended behind it.
  here.markVariants = () => {
    for (const panel of panels()) {
      const tab = here.form().querySelector(`[data-variant-tab="${CSS.escape(nameOf(panel))}"]`);
      const isWrong = Boolean(panel.querySelector(".compose-wrong, .desk-over"));
      tab.classList.toggle("compose-tab-wrong", isWrong);
      tab.title = isWrong ? here.say("wrong") : "";
    }
  };

  // The variant an input belongs to comes to the front.
  here.reveal = (element) => {
    const panel = element?.closest("[data-variant]");
    if (panel && nameOf(panel) !== shown) here.showVariant(nameOf(panel));
  };

  here.showVariant = (name) => {
    shown = name;
    here.refresh();
  };

  function copy(from, to) {
    const target = inputs(to);
    inputs(from).forEach((input, place) => {
      if (input.type === "checkbox") target[place].checked = input.checked;
      else target[place].value = input.value;
    });
  }

  // Whoever listens to typing hears of it.
  function become(count, name) {
    number().value = count;
    shown = name;
    for (const panel of panels().slice(count)) {
      for (const field of panel.querySelectorAll("[data-field]")) here.find(field.dataset.field, "", "");
    }
    number().dispatchEvent(new Event("input", { bubbles: true }));
  }

  // It begins with the words of the one being looked at: two variants mostly differ in a few of them.
  here.addVariant = () => {
    const used = inUse();
    const next = panels()[used.length];
    copy(used.find((panel) => nameOf(panel) === shown), next);
    become(used.length + 1, nameOf(next));
    here.tell(here.say("variant_added", { name: shown }));
    next.querySelector("[data-word]")?.focus();
  };

  // Those behind it move up: the names stay without a gap.
  here.dropVariant = () => {
    const used = inUse();
    const place = used.findIndex((panel) => nameOf(panel) === shown);
    const [before, gone] = [here.values(), shown];
    for (let at = place; at < used.length - 1; at += 1) copy(used[at + 1], used[at]);
    become(used.length - 1, nameOf(used[Math.max(0, place - 1)]));
    const undo = () => {
      here.fill(before);
      become(used.length, gone);
      here.banner("");
    };
    here.banner(here.say("variant_dropped", { name: gone }), [[here.say("undo"), undo]]);
    document.querySelector(`[data-variant]:not([hidden]) [data-word]`)?.focus();
  };
})();
