"use strict";

// Checks a chosen file without leaving the page, so that it need not be chosen again to be saved.
(() => {
  const form = document.querySelector("[data-upload]");
  if (!form) return;

  const input = form.querySelector('input[type="file"]');
  const name = form.querySelector("[data-file-name]");
  const title = form.querySelector("#id_name");
  const report = form.querySelector("[data-report]");
  const check = form.querySelector('button[name="check"]');
  const save = form.querySelector('button[name="save"]');
  const zone = form.querySelector(".desk-file");

  input.addEventListener("change", () => {
    if (!input.files.length) return;
    const file = input.files[0];
    name.textContent = file.name;
    save.disabled = false;
    if (title && !title.value) title.value = file.name.replace(/\.[^.]*$/, "").slice(0, 60);
    check.click();
  });

  for (const kind of ["dragover", "dragleave", "drop"]) {
    zone.addEventListener(kind, (event) => {
      event.preventDefault();
      zone.classList.toggle("desk-over-zone", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files.length) {
        input.files = event.dataTransfer.files;
        input.dispatchEvent(new Event("change"));
      }
    });
  }

  form.addEventListener("submit", async (event) => {
    if (event.submitter !== check || !input.files.length) return;
    event.preventDefault();
    const data = new FormData(form);
    data.set("check", "1");
    form.setAttribute("aria-busy", "true");
    check.disabled = true;
    try {
      const answer = await fetch(window.location.href, {
        method: "POST", body: data, credentials: "same-origin", headers: { "X-Requested-With": "XMLHttpRequest" },
      });
      if (answer.ok) {
        report.innerHTML = await answer.text();
        save.disabled = Boolean(report.querySelector('[data-good="0"]'));
      } else form.submit();
    } finally {
      check.disabled = false;
      form.removeAttribute("aria-busy");
    }
  });
})();
