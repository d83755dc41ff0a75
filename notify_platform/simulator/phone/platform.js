// The mini-program's client of the platform's public API. It knows the session token and nothing else.

import { ask } from "./net.js";

const API = "/phone/api/v1/";

export class Platform {
  #appId;
  #login;
  #session = null;

  /** `login` returns a code of wx.login. */
  constructor({ appId, login }) {
    this.#appId = appId;
    this.#login = login;
  }

  /** What to ask for in a scene, and in what words. */
  prompts(scene) {
    return this.#call("GET", `prompts?${new URLSearchParams({ scene })}`);
  }

  subscriptions() {
    return this.#call("GET", "subscriptions");
  }

  authorizations(report) {
    return this.#call("POST", "authorizations", report);
  }

  opens(key) {
    return this.#call("POST", "opens", { nk: key });
  }

  visits(page) {
    return this.#call("POST", "visits", { page });
  }

  /** Call with the session; one that has ended is begun anew, once. */
  async #call(method, path, body) {
    const session = await this.#begin();
    try {
      return await this.#ask(method, path, body, { Authorization: `Bearer ${session.token}` });
    } catch (error) {
      if (error.status !== 401) throw error;
      if ((await this.#session) === session) this.#session = null;
      const { token } = await this.#begin();
      return this.#ask(method, path, body, { Authorization: `Bearer ${token}` });
    }
  }

  /** Log in; calls that come meanwhile share the one attempt. */
  #begin() {
    this.#session ??= this.#login()
      .then((code) => this.#ask("POST", "sessions", { app_id: this.#appId, code }))
      .catch((error) => {
        this.#session = null;
        throw error;
      });
    return this.#session;
  }

  #ask(method, path, body, headers = {}) {
    return ask(method, `${API}${path}`, {
      body,
      headers: { "X-App-Id": this.#appId, "Accept-Language": "zh-hans", ...headers },
      name: `${method} /api/v1/${path}`,
    });
  }
}
