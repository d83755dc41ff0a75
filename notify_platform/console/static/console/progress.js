"use strict";

// Keeps the numbers of a running job fresh: asks every two seconds while the page is looked at, one question at a time.
(() => {
  const board = document.querySelector("[data-progress-url]");
  if (!board || !board.dataset.moves) return;

  const PAUSE_MS = 2000;
  let timer = 0;

  async function look() {
    if (document.hidden) return;
    try {
      const response = await fetch(board.dataset.progressUrl, { credentials: "same-origin", redirect: "error" });
      if (!response.ok) throw new Error(String(response.status));
      const now = await response.json();
      if (now.state !== board.dataset.state) {
        // The buttons and the facts below have changed too.
        window.location.reload();
        return;
      }
      board.innerHTML = now.html;
    } catch {
      // The connection is gone or the session has ended: the old numbers stay, the next look may succeed.
    }
    timer = window.setTimeout(look, PAUSE_MS);
  }

  document.addEventListener("visibilitychange", () => {
    window.clearTimeout(timer);
    if (!document.hidden) look();
  });
  timer = window.setTimeout(look, PAUSE_MS);
})();
