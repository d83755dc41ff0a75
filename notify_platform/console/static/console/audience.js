"use strict";

// Shows how many people the criteria mean while they are being written. The form works without this file.
(() => {
  const panel = document.querySelector("[data-count-url]");
  const form = panel && document.getElementById(panel.dataset.form);
  if (!form) return;

  const sentence = panel.querySelector("[data-size]");
  const stock = panel.querySelector("[data-stock]");
  let timer = 0;
  let asking = null;

  function show(sizes) {
    sentence.textContent = sizes.sentence;
    const list = stock.querySelector("ul");
    list.replaceChildren(...sizes.stock.map((one) => {
      const line = document.createElement("li");
      const title = document.createElement("span");
      const people = document.createElement("strong");
      title.textContent = one.title;
      people.textContent = one.people;
      line.append(title, people);
      return line;
    }));
    stock.hidden = !sizes.people;
    stock.querySelector("[data-nobody]").hidden = sizes.stock.length > 0;
  }

  async function ask() {
    if (asking) asking.abort();
    asking = new AbortController();
    const data = new FormData(form);
    if (panel.dataset.audience) data.set("audience", panel.dataset.audience);
    panel.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(panel.dataset.countUrl, { method: "POST", body: data, signal: asking.signal, credentials: "same-origin" });
      if (answer.ok) show(await answer.json());
      panel.removeAttribute("aria-busy");
    } catch (error) {
      if (error.name !== "AbortError") panel.removeAttribute("aria-busy");
    }
  }

  function soon() {
    window.clearTimeout(timer);
    timer = window.setTimeout(ask, 400);
  }

  form.addEventListener("input", soon);
  form.addEventListener("change", (event) => {
    // Templates, scenes and jobs belong to a mini-program: another one has others.
    if (event.target.name === "mini_program" && !panel.dataset.audience) {
      const address = new URL(window.location.href);
      address.searchParams.set("mini_program", event.target.value);
      window.location.assign(address);
      return;
    }
    soon();
  });
  ask();
})();
