// Every request this page makes: to the simulator it came from, and to nobody else.

import { note } from "./journal.js";

/** What the other side refused, or could not be asked: a code for words.js, its own sentence, the HTTP status. */
export class Refused extends Error {
  constructor(code, message, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/**
 * Ask, and return the document of the answer; throws Refused.
 * `name` is what the journal calls it; without one the call is too ordinary to be noted.
 */
export async function ask(method, url, { body, headers = {}, name = "" } = {}) {
  const started = performance.now();
  let status = 0;
  let document_ = null;
  try {
    const answer = await fetch(url, {
      method,
      headers: { ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
    });
    status = answer.status;
    document_ = await read(answer);
  } catch {
    document_ ??= { error: { code: "simulator_gone", message: "no answer" } };
  }
  const refused = status < 200 || status > 299;
  if (name) note({ name, refused, status, ms: performance.now() - started, sent: body, got: document_ });
  if (refused) throw new Refused(document_?.error?.code ?? "unreadable", document_?.error?.message ?? "", status);
  return document_;
}

async function read(answer) {
  const text = await answer.text();
  if (!text) return {};
  try {
    return JSON.parse(text);
  } catch {
    return { error: { code: "unreadable", message: text.slice(0, 200) } };
  }
}
