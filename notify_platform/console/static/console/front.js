"use strict";

// Keeps the front page fresh: every 30 seconds while it is looked at, its boards are fetched anew, and what differs is
// put in place. What is the same stays the same element, and with it the focus, an open fold and the place scrolled to.
(() => {
  const boards = document.querySelector("[data-fresh]");
  if (!boards) return;

  const PAUSE_MS = 30000;
  const IDENTITY = ["id", "href", "data-chart"];
  let timer = 0;

  const isElement = (node) => node.nodeType === Node.ELEMENT_NODE;

  function isSame(old, fresh) {
    if (old.nodeName !== fresh.nodeName) return false;
    return !isElement(old) || IDENTITY.every((name) => old.getAttribute(name) === fresh.getAttribute(name));
  }

  function match(old, fresh) {
    if (old.isEqualNode(fresh)) return;
    if (!isSame(old, fresh)) {
      old.replaceWith(fresh);
    } else if (!isElement(old)) {
      old.data = fresh.data;
    } else if (!old.hasAttribute("data-chart")) {
      // Whether a fold is open is the reader's business; a chart is drawn by its own script.
      for (const name of old.getAttributeNames()) {
        if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
      }
      for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
      matchChildren(old, fresh);
    }
  }

  function matchChildren(old, fresh) {
    const before = [...old.childNodes];
    const after = [...fresh.childNodes];
    after.forEach((node, place) => (place < before.length ? match(before[place], node) : old.append(node)));
    before.slice(after.length).forEach((node) => node.remove());
  }

  function show(page) {
    const held = document.activeElement;
    match(boards, page.querySelector("[data-fresh]"));
    if (!held.isConnected && held.hasAttribute("href")) {
      // A line was put above it: the focus goes along with what it was on.
      const again = boards.querySelector(`[href="${CSS.escape(held.getAttribute("href"))}"]`);
      if (again) again.focus({ preventScroll: true });
    }
    document.dispatchEvent(new Event("charts-changed"));
  }

  async function look() {
    if (document.hidden) return;
    try {
      const response = await fetch(boards.dataset.fresh, { credentials: "same-origin", redirect: "error" });
      if (!response.ok) throw new Error(String(response.status));
      show(new DOMParser().parseFromString(await response.text(), "text/html"));
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
