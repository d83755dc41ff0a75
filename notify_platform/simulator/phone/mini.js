// The mini-program: it logs in, fetches what to ask for before anybody taps, asks inside the tap, reports what came.

import { toast, confirm } from "./layer.js";
import { Platform } from "./platform.js";
import { go } from "./routes.js";
import { freshMini, state, update, updateMini } from "./state.js";
import { explain } from "./words.js";
import * as wx from "./wx.js";

const FIRST_PAGE = "pages/index";
const MAIN_SWITCH_OFF = 20004;

/** Forget the running mini-program: another user took the phone, or it is to begin anew. */
export function close() {
  update({ mini: freshMini() });
}

/** Open it from WeChat, as a visit of its first page. */
export async function launch() {
  go("mini");
  const mini = state.mini;
  const wasReady = mini.status === "ready";
  if (!(await start())) return;
  if (wasReady) void refresh(mini).catch(() => {});
  void mini.platform.visits(FIRST_PAGE).catch(() => {});
}

/** Start unless it runs or starts already; resolves to whether it runs, for the same user still. */
export function start() {
  const mini = state.mini;
  if (mini.status === "ready") return Promise.resolve(true);
  mini.starting ??= begin(mini).finally(() => {
    mini.starting = null;
  });
  return mini.starting;
}

async function begin(mini) {
  mini.platform = new Platform({ appId: state.app.app_id, login: wx.login });
  updateMini(mini, { status: "starting", error: null });
  try {
    await refresh(mini);
  } catch (error) {
    updateMini(mini, { status: "failed", error });
    return false;
  }
  updateMini(mini, { status: "ready" });
  return mini === state.mini;
}

/** Fetch the stock and every scene's plan, so that a tap needs to wait for nothing. */
async function refresh(mini) {
  await Promise.all([recount(mini), ...state.app.scenes.map((scene) => plan(mini, scene.code))]);
}

async function recount(mini) {
  const { subscriptions } = await mini.platform.subscriptions();
  updateMini(mini, { subscriptions: Object.fromEntries(subscriptions.map((each) => [each.template_id, each])) });
}

async function plan(mini, code) {
  try {
    mini.plans[code] = { plan: await mini.platform.prompts(code) };
  } catch (error) {
    mini.plans[code] = { error };
  }
  updateMini(mini, {});
}

/** Fetch one scene's plan anew, behind the user's back. */
export function replan(code) {
  return plan(state.mini, code);
}

/** Fetch the plans that an answer elsewhere may have changed; called when the scenes come into view. */
export function replanStale() {
  const { mini } = state;
  for (const [code, known] of Object.entries(mini.plans)) if (known.isStale) void plan(mini, code);
}

/** Ask for consent. Called by a tap: nothing may be awaited before wx is asked. */
export function ask(scene) {
  const mini = state.mini;
  const { plan: planned } = mini.plans[scene.code];
  return wx.requestSubscribeMessage({ tmplIds: planned.template_ids }).then(
    (result) => answered(mini, { scene, planned }, result),
    (failure) => failed(mini, { scene, planned }, failure),
  );
}

async function answered(mini, { scene, planned }, { errMsg, ...results }) {
  const accepted = Object.values(results).filter((answer) => answer.startsWith("accept")).length;
  if (accepted) mini.hasAgreed = true;
  if (!(await report(mini, scene, { prompt_id: planned.prompt_id, results }))) return;
  if (accepted) toast(`已同意 ${accepted} 项提醒`, { isGood: true });
  else await tellRefusal(Object.keys(results));
}

/** A choice that is kept is refused without a popup: say where it can be changed. */
async function tellRefusal(templateIds) {
  const { itemSettings = {} } = await wx.getSetting().catch(() => ({}));
  const isKept = templateIds.some((id) => itemSettings[id] === "reject");
  toast(isKept ? "你选择了不再接收，可在设置中更改" : "好的，这次不提醒");
}

async function failed(mini, { scene, planned }, { errMsg, errCode, cause }) {
  if (cause) {
    toast(explain(cause, state.app)[0]);
    return;
  }
  if (errCode === undefined) {
    toast(errMsg);
    return;
  }
  await report(mini, scene, { prompt_id: planned.prompt_id, results: {}, err_code: errCode });
  if (errCode !== MAIN_SWITCH_OFF) {
    toast(`没能请求授权（${errCode}）`);
    return;
  }
  const isWanted = await confirm({
    title: "订阅消息已关闭",
    text: "你关闭了这个小程序的订阅消息，需要先在设置里打开「接收订阅消息」。",
    yes: "去设置",
  });
  if (isWanted) go("settings");
}

/** Tell the platform, then ask it what to ask next; resolves to whether it knows. */
async function report(mini, scene, result) {
  const request = { ...result, client_request_id: crypto.randomUUID() };
  mini.unsent.push({ request, answeredAt: performance.now() });
  const isKnown = await flush(mini);
  for (const known of Object.values(mini.plans)) known.isStale = true;
  if (isKnown) void Promise.all([recount(mini), plan(mini, scene.code)]).catch(() => {});
  return isKnown;
}

/** Tell the platform every answer it has not heard of; each keeps its id, so that twice counts once. */
export async function flush(mini = state.mini) {
  if (mini.isFlushing) return false;
  mini.isFlushing = true;
  try {
    while (mini.unsent.length) {
      learn(mini, await tell(mini, mini.unsent[0]));
      mini.unsent.shift();
    }
    return true;
  } catch (error) {
    if (isFinal(error)) mini.unsent.shift();
    toast(explain(error, state.app)[0]);
    return false;
  } finally {
    mini.isFlushing = false;
    updateMini(mini, {});
  }
}

/** The time since the answer is told, not the phone's clock, which may be wrong. */
function tell(mini, { request, answeredAt }) {
  return mini.platform.authorizations({ ...request, answered_ago_ms: Math.round(performance.now() - answeredAt) });
}

function learn(mini, { balances }) {
  for (const each of balances) mini.subscriptions[each.template_id] = { ...mini.subscriptions[each.template_id], ...each };
}

/** Whether asking again cannot help. */
function isFinal({ status }) {
  return status >= 400 && status < 500 && ![401, 408, 409, 429].includes(status);
}

/** Open the page of a card that was tapped, and report the open. */
export async function openCard(card) {
  const [path, query = ""] = card.page.split("?");
  const opening = { path, query: [...new URLSearchParams(query)], title: card.title, report: "under way" };
  updateMini(state.mini, { opening });
  go("mini/card");
  await reportOpening();
}

/** Report the open of the card on the screen; also when it is tried again. */
export async function reportOpening() {
  const mini = state.mini;
  const { opening } = mini;
  opening.report = "under way";
  updateMini(mini, {});
  if (!(await start())) return;
  const key = new URLSearchParams(opening.query).get("nk");
  try {
    if (key) await mini.platform.opens(key);
    await mini.platform.visits(opening.path);
    opening.report = key ? "done" : "no key";
    if (key) mini.hasOpened = true;
  } catch (error) {
    opening.report = error;
  }
  updateMini(mini, {});
}
