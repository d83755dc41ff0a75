"use strict";

// How the composing page speaks: with the server (POSTs with the token of this moment, one answer or a reason why not)
// and with the person (sentences come from the page, scripts hold none).
window.composing = window.composing || {};
(() => {
  const here = window.composing;
  const told = document.getElementById("compose-words");
  const words = told ? JSON.parse(told.textContent) : {};

  here.root = () => document.querySelector("[data-compose]");
  here.form = () => document.querySelector("[data-compose-form]");
  here.part = (name) => document.querySelector(`[data-${name}]`);

  here.say = (name, values = {}) => (words[name] || name).replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);

  // For those who hear the page: only what changed in meaning, never every keystroke.
  here.tell = (text) => {
    const line = here.part("said");
    if (line && line.textContent !== text) line.textContent = text;
  };

  here.status = (text, tone = "") => {
    const line = here.part("status");
    if (!line) return;
    line.textContent = text;
    line.dataset.tone = tone;
  };

  // Buttons are [label, what to do] or [label, address].
  here.banner = (text, buttons = [], tone = "desk-plain") => {
    const line = here.part("banner");
    if (!line) return;
    line.className = `desk-note compose-banner ${tone}`;
    line.replaceChildren(document.createTextNode(text));
    for (const [label, deed] of buttons) {
      const button = document.createElement(typeof deed === "string" ? "a" : "button");
      button.className = "desk-button";
      button.textContent = label;
      if (typeof deed === "string") {
        button.href = deed;
        button.target = "_blank";
      } else {
        button.type = "button";
        button.addEventListener("click", deed);
      }
      line.append(" ", button);
    }
    line.hidden = !text;
  };

  // A log-in in another tab changes the token: the cookie always has the one of this moment.
  function token() {
    const found = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
    return found ? found[1] : here.form().elements.csrfmiddlewaretoken.value;
  }

  here.refreshToken = () => {
    for (const input of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) input.value = token();
  };

  // Resolves to the answer; throws an error called "session", "away" or "broken".
  here.ask = async (what, more = {}) => {
    const data = new FormData(here.form());
    data.delete("csrfmiddlewaretoken");
    data.set("job", here.root().dataset.job);
    for (const [name, value] of Object.entries(more)) data.set(name, value);
    let response;
    try {
      response = await fetch(here.root().dataset[what], {
        method: "POST",
        body: data,
        credentials: "same-origin",
        redirect: "manual",
        headers: { "X-CSRFToken": token() },
      });
    } catch {
      throw new Error("away");
    }
    if (response.type === "opaqueredirect") throw new Error("session");
    if (!response.ok) throw new Error("broken");
    return response.json();
  };

  // Says why a question had no answer.
  here.excuse = (error) => {
    if (error.message === "session") {
      here.banner(here.say("session"), [[here.say("log_in"), here.root().dataset.login]], "desk-warn");
      here.status(here.say("kept"), "warn");
    } else {
      here.status(here.say(error.message === "away" ? "away" : "broken"), "warn");
    }
  };

  // Sets or clears what is wrong at an input.
  here.find = (name, level, text) => {
    const field = here.form().querySelector(`[data-field="${CSS.escape(name)}"]`);
    const line = field?.querySelector("[data-error]");
    if (!line) return false;
    if (line.textContent !== text) line.textContent = text;
    line.hidden = !text;
    field.classList.toggle("compose-wrong", level === "bad");
    field.classList.toggle("compose-doubt", level === "warn");
    for (const input of field.querySelectorAll("input:not([type=checkbox]), select, textarea")) {
      if (level === "bad") input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
      const ids = new Set((input.getAttribute("aria-describedby") || "").split(" ").filter(Boolean));
      if (text) ids.add(line.id);
      else ids.delete(line.id);
      input.setAttribute("aria-describedby", [...ids].join(" "));
    }
    return true;
  };

  here.later = (milliseconds, deed) => {
    let timer = 0;
    return () => {
      window.clearTimeout(timer);
      timer = window.setTimeout(deed, milliseconds);
    };
  };
})();
