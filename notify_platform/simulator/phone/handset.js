// What WeChat itself does on this phone, beside the mini-program: users, service notifications, settings.

import { ask } from "./net.js";
import { state } from "./state.js";

const WX = "/phone/wx/";

/** Call one of the simulator's phone endpoints for the chosen user. */
export function call(method, verb, given = {}, { name = "" } = {}) {
  const whole = { app_id: state.app?.app_id, openid: state.openid, ...given };
  if (method === "GET") return ask(method, `${WX}${verb}?${new URLSearchParams(whole)}`, { name });
  return ask(method, `${WX}${verb}`, { body: whole, name });
}

export function apps() {
  return ask("GET", `${WX}apps`);
}

export function findUsers(prefix, app = state.app) {
  return call("GET", "users", { app_id: app.app_id, prefix, openid: "" });
}

export function addUser(app) {
  return call("POST", "users", { app_id: app.app_id, openid: "" });
}

export function inbox() {
  return call("GET", "inbox");
}

export function settingsPage() {
  return call("GET", "settings");
}

export function turnOff(templateId) {
  return call("POST", "turn_off", { template_id: templateId }, { name: "用户关闭一个模板" });
}

export function turnOn(templateId) {
  return call("POST", "turn_on", { template_id: templateId }, { name: "用户重新允许一个模板" });
}

export function setMainSwitch(isOn) {
  return call("POST", "main_switch", { on: isOn }, { name: isOn ? "用户打开总开关" : "用户关闭总开关" });
}
