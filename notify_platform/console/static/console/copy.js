"use strict";

// Buttons that copy a text of the page. Without this file they stay hidden, and the text can be marked by hand.
(() => {
  async function copy(source) {
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // No clipboard without https: mark the text and use the old way.
      window.getSelection().selectAllChildren(source);
      document.execCommand("copy");
    }
  }

  for (const button of document.querySelectorAll("[data-copies]")) {
    const source = document.getElementById(button.dataset.copies);
    button.hidden = false;
    button.addEventListener("click", async () => {
      await copy(source);
      button.textContent = button.dataset.copied;
    });
  }
})();
