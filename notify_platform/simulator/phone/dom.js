// Elements without innerHTML: whatever a text holds, it stays a text.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element: h("button", {class: "x", onclick: f}, "text", child). Absent, null and false children are left out. */
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** A button that never submits anything. */
export function button(properties, ...children) {
  return h("button", { type: "button", ...properties }, ...children);
}

/** An icon of icons.svg; decoration, so a button with nothing else needs an aria-label. */
export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon ${className}`.trim());
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `/phone/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/** A square with the first character of a name, in a colour of its own. */
export function emblem(name, seed, className = "") {
  return h("span", { class: `emblem hue-${hue(seed)} ${className}`.trim(), "aria-hidden": "true" }, [...name][0] ?? "");
}

/** One of eight colours, always the same for the same text. */
export function hue(seed) {
  let sum = 7;
  for (const character of seed) sum = (sum * 31 + character.codePointAt(0)) % 997;
  return sum % 8;
}

/** What a screen shows when there is nothing, or when something went wrong: always with what to do next. */
export function notice({ icon: name, title, text, actions = [] }) {
  return h(
    "div",
    { class: "notice" },
    h("div", { class: "notice-icon" }, icon(name)),
    h("h2", {}, title),
    text && h("p", {}, text),
    actions.length > 0 && h("div", { class: "notice-actions" }, actions),
  );
}
