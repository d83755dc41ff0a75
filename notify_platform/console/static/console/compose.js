"use strict";

// The composing page: one listener for everything that is typed, and the questions that follow from it. The form works
// without scripts too, only without help.
(() => {
  const here = window.composing;
  if (!here || !here.root()) return;

  let reach = "";
  let counted = "";
  let checked = "";
  let isClean = false;
  let looks = 0;
  let running = null;

  const values = () => JSON.stringify(here.values());
  here.isChecked = () => isClean && checked === values();

  // --- looking ------------------------------------------------------------------------------------------------------

  // What is half typed is no mistake yet.
  function isEarly(name) {
    const field = here.form().querySelector(`[data-field="${CSS.escape(name)}"]`);
    const group = field?.closest("fieldset");
    return Boolean(group && group.contains(document.activeElement));
  }

  async function look() {
    const { template } = here.root().dataset;
    if (!template) return;
    const number = ++looks;
    try {
      const answer = await here.ask("look", { reach, shown: here.shownVariant() });
      if (number !== looks) return;
      here.part("five").innerHTML = answer.cards;
      here.useValues(answer.values, answer.whose);
      showFindings(answer.findings);
      const list = here.part("when");
      list.replaceChildren(...answer.when.map((sentence) => Object.assign(document.createElement("li"), { textContent: sentence })));
      here.showSteps();
    } catch (error) {
      here.excuse(error);
    }
  }

  function showFindings(findings) {
    for (const field of here.form().querySelectorAll("[data-field]")) {
      const name = field.dataset.field;
      const [level, text] = findings[name] || ["", ""];
      if (text && isEarly(name)) continue;
      // An empty input keeps what the server said of it until something is written there.
      const input = field.querySelector("input, select, textarea");
      if (text || input?.value.trim()) here.find(name, level, text);
    }
  }

  async function countPeople() {
    const { template } = here.root().dataset;
    const audience = here.form().elements.audience?.value || "";
    if (!template || counted === `${template}:${audience}`) return;
    counted = `${template}:${audience}`;
    const facts = here.part("people-facts");
    if (audience) facts.textContent = here.say("looking");
    try {
      const answer = await here.ask("people");
      facts.innerHTML = answer.html;
      reach = answer.reach ?? "";
      await look();
    } catch (error) {
      counted = "";
      facts.textContent = "";
      here.excuse(error);
    }
  }

  const lookSoon = here.later(500, look);

  // --- checking and handing over ------------------------------------------------------------------------------------

  // One check at a time; what was asked while it ran is the same question, or one that "changed" will ask for.
  here.check = () => {
    if (checked === values() || !here.root().dataset.template) return Promise.resolve();
    running = running || checkNow().finally(() => (running = null));
    return running;
  };

  async function checkNow() {
    const asked = values();
    const word = here.part("check-word");
    word.textContent = here.say("checking");
    try {
      const answer = await here.ask("check");
      here.part("checked").innerHTML = answer.html;
      checked = asked;
      isClean = answer.mends === 0;
      word.textContent = here.say(isClean ? "clean" : "unclean", { count: answer.mends });
    } catch (error) {
      word.textContent = here.say("broken");
      here.excuse(error);
    }
    here.showSteps();
  }

  here.submit = async () => {
    const button = here.part("submit");
    if (!button || button.disabled) return;
    button.disabled = true;
    const answer = await here.save("submit");
    button.disabled = false;
    if (!answer) return;
    // The draft is saved; the deed itself is a POST of its own with the token of this moment.
    here.refreshToken();
    const form = document.createElement("form");
    form.method = "post";
    form.action = answer.submit;
    form.append(here.form().elements.csrfmiddlewaretoken.cloneNode());
    document.body.append(form);
    form.submit();
  };

  // A page of its own that speaks of the saved draft.
  async function goOn(button) {
    const answer = await here.save("draft");
    if (answer) window.location.assign(answer[button.dataset.then]);
  }

  // --- another template ---------------------------------------------------------------------------------------------

  async function choose(link) {
    const old = here.root();
    if (link.dataset.choose === old.dataset.template) {
      link.closest("details").open = false;
      return;
    }
    const kept = here.values();
    const labels = here.labels();
    const name = here.form().elements.name;
    if (name.value === name.defaultValue) delete kept.name;
    try {
      const response = await fetch(link.href, { credentials: "same-origin", redirect: "manual" });
      if (!response.ok) throw new Error(response.type === "opaqueredirect" ? "session" : "broken");
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      old.replaceWith(document.adoptNode(page.querySelector("[data-compose]")));
    } catch (error) {
      here.excuse(error.message === "session" ? error : new Error("away"));
      return;
    }
    window.history.replaceState(null, "", link.href);
    const texts = Object.fromEntries(Object.entries(kept).filter(([field]) => field.startsWith("text_")));
    const rest = Object.fromEntries(Object.entries(kept).filter(([field]) => !field.startsWith("text_")));
    here.fill(rest);
    here.carry(texts, labels);
    start();
    here.changed();
    here.tell(here.say("carried"));
    here.form().querySelector("[data-word]")?.focus();
  }

  function search(input) {
    const wanted = input.value.trim().toLowerCase();
    const area = input.closest("[data-chooser], [data-step]");
    let found = 0;
    for (const choice of area.querySelectorAll("[data-choose]")) {
      choice.hidden = !choice.dataset.text.toLowerCase().includes(wanted);
      found += choice.hidden ? 0 : 1;
    }
    for (const group of area.querySelectorAll("[data-choice-group]")) group.hidden = !group.querySelector("[data-choose]:not([hidden])");
    area.querySelector("[data-nothing-found]").hidden = found > 0;
  }

  // --- listening ----------------------------------------------------------------------------------------------------

  function showMoment() {
    const at = here.form().querySelector("input[name=start][value=at]");
    const moment = here.part("only-at");
    if (moment) moment.hidden = !(at && at.checked);
  }

  here.refresh = () => {
    here.showVariants();
    here.showWords();
    showMoment();
    here.showSteps();
  };

  function typed(event) {
    if (event.target.matches("[data-template-search]")) {
      search(event.target);
      return;
    }
    here.refresh();
    here.changed();
    if (checked && checked !== values()) here.part("check-word").textContent = here.say("changed");
    if (event.target.name === "audience") countPeople();
    else {
      // What is still being answered is about other words than these.
      looks += 1;
      lookSoon();
    }
  }

  function pressed(event) {
    const target = event.target.closest("[data-insert], [data-variant-tab], [data-add-variant], [data-drop-variant], [data-choose], [data-step-link], [data-goto], [data-check-now], [data-next], [data-then], [data-new-audience]");
    if (!target || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const { insert, choose: template, stepLink, goto } = target.dataset;
    if (template && !here.root().dataset.template) return;
    if (target.matches("[data-new-audience]")) {
      here.changed();
      return;
    }
    event.preventDefault();
    if (insert) here.insert(target);
    else if (template) choose(target);
    else if (stepLink) here.goTo(stepLink);
    else if (goto) {
      const input = document.getElementById(goto);
      here.reveal(input);
      input?.focus();
    } else if (target.dataset.variantTab) {
      here.showVariant(target.dataset.variantTab);
      lookSoon();
    } else if (target.matches("[data-add-variant]")) here.addVariant();
    else if (target.matches("[data-drop-variant]")) here.dropVariant();
    else if (target.matches("[data-then]")) goOn(target);
    else if (target.matches("[data-check-now]")) {
      checked = "";
      here.check();
    } else here.goNext();
  }

  function sent(event) {
    if (event.target !== here.form()) return;
    event.preventDefault();
    if (event.submitter && event.submitter.name === "_save") here.save("draft");
    else if (event.submitter && event.submitter.name === "_submit") here.submit();
  }

  // The way back from a new audience names it in the address.
  function takeAudience() {
    const address = new URL(window.location.href);
    const number = address.searchParams.get("audience");
    const select = here.form().elements.audience;
    if (!number || !select) return;
    address.searchParams.delete("audience");
    window.history.replaceState(null, "", address);
    if (![...select.options].some((option) => option.value === number)) return;
    select.value = number;
    here.changed();
  }

  function start() {
    if (!here.root().dataset.template) {
      here.showSteps();
      return;
    }
    reach = counted = checked = "";
    here.readValues();
    here.refresh();
    countPeople();
  }

  document.addEventListener("input", (event) => {
    if (here.form().contains(event.target)) typed(event);
  });
  document.addEventListener("click", pressed);
  document.addEventListener("submit", sent);
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      here.goNext();
    } else if (event.key === "Enter" && event.target.matches("input") && here.form().contains(event.target)) {
      // Enter in a line of text must not hand the job over.
      event.preventDefault();
    }
  });

  here.readValues();
  here.comeBack();
  if (here.root().dataset.template) takeAudience();
  start();
  if (here.root().dataset.hasErrors) here.goWrong();
  else if (!here.root().dataset.job) (here.part("word") || here.part("template-search"))?.focus({ preventScroll: true });
})();
