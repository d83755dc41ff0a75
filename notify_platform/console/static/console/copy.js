"use strict";

// A button that copies the text of another element. Without a clipboard the button stays hidden: the text can be marked.
(() => {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    const words = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = button.dataset.done;
      window.setTimeout(() => { button.textContent = words; }, 2000);
    });
  }
})();
