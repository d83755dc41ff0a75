// wx.* as a mini-program knows it, with WeChat's own rules and words.

import { call } from "./handset.js";
import { askUser } from "./popup.js";

let isInTap = false;
let isAsking = false;

// A tap lasts as long as its task: promises inherit it, timers and network answers do not.
document.addEventListener(
  "click",
  () => {
    isInTap = true;
    setTimeout(() => {
      isInTap = false;
    }, 0);
  },
  { capture: true },
);

/** Return the login code. */
export async function login() {
  return (await call("POST", "login", {}, { name: "wx.login" })).code;
}

/** Return {mainSwitch, itemSettings?}: only choices the user keeps are told. */
export async function getSetting() {
  return (await call("GET", "getSetting", {}, { name: "wx.getSetting" })).subscriptionsSetting;
}

/**
 * Ask for consent; resolves to the result map, rejects with {errMsg, errCode?}.
 * Must be called inside a tap, before anything is awaited.
 */
export function requestSubscribeMessage({ tmplIds }) {
  if (!isInTap) return Promise.reject({ errMsg: "requestSubscribeMessage:fail can only be invoked by user TAP gesture." });
  if (isAsking) return Promise.reject({ errMsg: "requestSubscribeMessage:fail last call has not ended" });
  isAsking = true;
  return request(tmplIds).finally(() => {
    isAsking = false;
  });
}

async function request(tmplIds) {
  let result;
  try {
    result = await call("POST", "requestSubscribeMessage", { tmplIds }, { name: "wx.requestSubscribeMessage" });
    if (result.popup) {
      const { answers, keep } = await askUser(result.popup);
      result = await call("POST", "answer", { tmplIds, answers, keep }, { name: "用户回答弹窗" });
    }
  } catch (error) {
    throw { errMsg: `requestSubscribeMessage:fail ${error.message}`, errCode: 10002, cause: error };
  }
  if (result.errCode) throw result;
  return result;
}
