"use strict";

// Shows the card as it is being written, with a real person's values, and counts characters as WeChat does.
// Only a help: the server checks everything again, and the form works without this file.
(() => {
  const inputs = document.querySelectorAll("[data-word]");
  const holder = document.getElementById("desk-sample-values");
  if (!inputs.length || !holder) return;

  const values = JSON.parse(holder.textContent);
  const PLACEHOLDER = /\{\{\s*([a-z][a-z0-9_.]*)\s*(?:\|([^{}|]*))?\}\}/g;

  function written(text) {
    return text.replace(PLACEHOLDER, (whole, name, fallback) => values[name] || (fallback || "").trim() || whole);
  }

  function show(input) {
    const text = written(input.value);
    const line = document.querySelector(`[data-card-line="${input.dataset.word}"]`);
    if (line) {
      line.textContent = text || line.dataset.example || "—";
      line.classList.toggle("desk-pale", !text);
    }
    const counter = input.desk_counter;
    if (counter) {
      counter.textContent = `${text.length}/${input.dataset.limit}`;
      counter.classList.toggle("desk-over", text.length > Number(input.dataset.limit));
    }
  }

  for (const input of inputs) {
    if (input.dataset.limit) {
      input.desk_counter = document.createElement("span");
      input.desk_counter.className = "desk-counter";
      input.insertAdjacentElement("afterend", input.desk_counter);
    }
    input.addEventListener("input", () => show(input));
    show(input);
  }
})();
