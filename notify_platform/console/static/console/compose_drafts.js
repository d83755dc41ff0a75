"use strict";

// Nothing that was typed is lost: every change is kept in this browser at once, and saved by itself once the draft
// exists. What somebody else has saved meanwhile is written over only when a person says so.
(() => {
  const here = window.composing;
  const NOT_KEPT = new Set(["csrfmiddlewaretoken", "seen", "template"]);
  const TAB = "compose-tab";
  let isDirty = false;
  let isSaving = false;
  let isOvertaken = false;

  const user = () => `compose:${here.root().dataset.user}:`;
  const key = () => user() + (here.root().dataset.job || `new:${tab()}`);

  function tab() {
    if (!sessionStorage.getItem(TAB)) sessionStorage.setItem(TAB, crypto.getRandomValues(new Uint32Array(2)).join("-"));
    return sessionStorage.getItem(TAB);
  }

  // The browser may have no room, or may not be allowed to keep anything: then the server's copy is the only one.
  function store(name, value) {
    try {
      if (value === null) localStorage.removeItem(name);
      else localStorage.setItem(name, JSON.stringify(value));
    } catch {
      return false;
    }
    return true;
  }

  function stored(name) {
    try {
      return JSON.parse(localStorage.getItem(name));
    } catch {
      return null;
    }
  }

  here.values = () => {
    const found = {};
    for (const input of here.form().elements) {
      if (!input.name || NOT_KEPT.has(input.name) || input.type === "submit") continue;
      if (input.type === "radio") {
        if (input.checked) found[input.name] = input.value;
      } else if (input.type === "checkbox") found[input.name] = input.checked;
      else found[input.name] = input.value;
    }
    return found;
  };

  here.fill = (values) => {
    for (const input of here.form().elements) {
      if (!(input.name in values) || NOT_KEPT.has(input.name)) continue;
      const value = values[input.name];
      if (input.type === "radio") input.checked = input.value === value;
      else if (input.type === "checkbox") input.checked = value === true;
      else if (input.tagName !== "SELECT" || [...input.options].some((option) => option.value === value)) input.value = value;
    }
  };

  const isSame = (one, other) => JSON.stringify(one) === JSON.stringify(other);

  function keep() {
    const values = here.values();
    const { template } = here.root().dataset;
    return store(key(), { at: Date.now(), seen: here.form().elements.seen.value, template, name: values.name, values });
  }

  const saveSoon = here.later(1500, () => here.save("auto"));

  here.changed = () => {
    isDirty = true;
    keep();
    if (here.root().dataset.job && !isOvertaken) saveSoon();
    else here.status(here.say("kept"));
  };

  // Resolves to the answer when the draft was saved, otherwise to null: the reasons then stand at their inputs.
  here.save = async (how) => {
    if (how === "auto" && (!isDirty || isSaving)) return null;
    const values = here.values();
    const oldKey = key();
    isSaving = true;
    here.status(here.say("saving"));
    try {
      const answer = await here.ask("save", { how });
      if (!answer.saved) {
        refused(answer, how);
        return null;
      }
      settle(answer, oldKey, isSame(values, here.values()));
      return answer;
    } catch (error) {
      here.excuse(error);
      return null;
    } finally {
      isSaving = false;
    }
  };

  function settle(answer, oldKey, isAll) {
    const root = here.root();
    if (!root.dataset.job) window.history.replaceState(null, "", answer.page);
    root.dataset.job = answer.job;
    here.form().elements.seen.value = answer.seen;
    const name = here.form().elements.name;
    if (!name.value.trim()) name.value = answer.name;
    store(oldKey, null);
    if (isAll) {
      isDirty = false;
      here.status(here.say("saved", { at: answer.at }), "good");
    } else here.changed();
  }

  function refused(answer, how) {
    if (answer.overtaken) {
      overtaken(answer.seen);
      return;
    }
    for (const [name, sentences] of Object.entries(answer.errors)) here.find(name, "bad", sentences.join(" "));
    here.status(here.say("kept_wrong"), "warn");
    const loose = (answer.errors.__all__ || []).join(" ");
    if (loose) here.banner(loose, [], "desk-bad");
    if (how !== "auto") here.goWrong();
    here.showSteps();
  }

  function overtaken(seen) {
    isOvertaken = true;
    here.status(here.say("kept"), "warn");
    const mine = () => {
      here.form().elements.seen.value = seen;
      isOvertaken = false;
      here.banner("");
      here.save("draft");
    };
    const theirs = window.location.pathname;
    here.banner(here.say("overtaken"), [[here.say("see_theirs"), theirs], [here.say("save_mine"), mine]], "desk-warn");
  }

  // --- coming back --------------------------------------------------------------------------------------------------

  function restore(name, found) {
    here.fill(found.values);
    isDirty = true;
    if (name !== key()) store(name, null);
    const afresh = () => {
      store(key(), null);
      isDirty = false;
      window.location.reload();
    };
    here.banner(here.say("restored"), [[here.say("start_afresh"), afresh]]);
    here.refresh();
    here.changed();
  }

  function offer(name, found) {
    const at = new Date(found.at).toLocaleString(document.documentElement.lang, { dateStyle: "short", timeStyle: "short" });
    const discard = () => {
      store(name, null);
      here.banner("");
    };
    const goOn = () => {
      if (found.template === here.root().dataset.template) {
        restore(name, found);
        return;
      }
      // The page of the other template finds it under this tab's name.
      store(name, null);
      store(key(), found);
      window.location.assign(`${here.root().dataset.add}?template=${encodeURIComponent(found.template)}`);
    };
    const text = here.say("unfinished", { at, name: found.name || here.say("nameless") });
    here.banner(text, [[here.say("go_on"), goOn], [here.say("discard"), discard]]);
  }

  function others() {
    const prefix = `${user()}new:`;
    const names = Object.keys(localStorage).filter((name) => name.startsWith(prefix));
    const found = names.map((name) => [name, stored(name)]).filter(([, each]) => each && each.template);
    return found.sort(([, one], [, other]) => other.at - one.at);
  }

  here.comeBack = () => {
    const { job, template, hasErrors } = here.root().dataset;
    if (hasErrors) {
      isDirty = true;
      return;
    }
    const mine = stored(key());
    const isMine = mine && mine.template === template && (template || job);
    if (isMine && isSame(mine.values, here.values())) store(key(), null);
    else if (isMine && (!job || mine.seen === here.form().elements.seen.value)) restore(key(), mine);
    else if (mine && mine.template) offer(key(), mine);
    else if (!job && others().length) offer(...others()[0]);
  };

  window.addEventListener("beforeunload", () => {
    if (isDirty && here.form()) keep();
  });
})();
