// What the page knows. One object, one way to change it, and one listener: the screen.

export const state = {
  apps: [],
  app: null, // the mini-program chosen
  openid: "", // the user chosen
  trouble: null, // why nothing can be shown at all
  isOffline: false, // the simulator stopped answering
  inbox: { total: 0, cards: [] },
  seen: "", // msgid of the newest card the user looked at
  settings: null, // the settings page, once it was opened
  mini: freshMini(),
};

/** The mini-program before it starts. */
export function freshMini() {
  return {
    status: "closed", // starting, ready, failed
    error: null,
    plans: {}, // scene code → {plan} or {error}, with isStale after an answer
    subscriptions: {}, // template id → what the platform says
    unsent: [], // answers the platform has not heard of yet
    opening: null, // {path, query, title, report}: the card that was tapped
    platform: null, // the client with this user's session
    starting: null, // the promise of a start under way
    isFlushing: false,
    hasAgreed: false,
    hasOpened: false,
  };
}

let listener = () => {};
let isDue = false;

export function listen(render) {
  listener = render;
}

/** Change the state; the screen follows once, after all changes of this moment. */
export function update(changes) {
  Object.assign(state, changes);
  redraw();
}

/** Change what is known of the mini-program; ignored when another user took over meanwhile. */
export function updateMini(mini, changes) {
  Object.assign(mini, changes);
  if (mini === state.mini) redraw();
}

export function redraw() {
  if (isDue) return;
  isDue = true;
  queueMicrotask(() => {
    isDue = false;
    listener();
  });
}

export function template(templateId) {
  return (
    state.app?.templates.find((each) => each.template_id === templateId) ?? {
      template_id: templateId,
      title: `${templateId.slice(0, 8)}…`,
      kind: "one_time",
      lines: [],
    }
  );
}

export function unread() {
  const cards = state.inbox.cards;
  return cards.length - 1 - cards.findLastIndex((card) => card.msgid === state.seen);
}

/** Remember a choice in this browser; where it may not, it is forgotten with the page. */
export function remember(name, value) {
  try {
    localStorage.setItem(`phone.${name}`, value);
  } catch {
    // Private windows may refuse.
  }
}

export function recall(name) {
  try {
    return localStorage.getItem(`phone.${name}`) ?? "";
  } catch {
    return "";
  }
}
