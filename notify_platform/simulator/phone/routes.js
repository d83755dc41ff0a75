// Where the page is: the part of the address behind "#/", so that the browser's back button works.

/** Go to a place; `replace` leaves no way back to where one was. */
export function go(path, { replace = false } = {}) {
  const target = `#/${path}`;
  if (location.hash === target) return;
  if (replace) location.replace(target);
  else location.hash = target;
}

/** Return the place as parts, decoded. */
export function place() {
  return location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
}
