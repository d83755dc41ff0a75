// What the page says: errors with their next step, times, amounts.

const ERRORS = {
  simulator_gone: (app) => ["模拟器没有应答", "它可能已经停止。请重新运行 make demo 或 manage.py simulator，再点「重试」。"],
  platform_unreachable: (app) => ["连不上平台", `平台地址 ${app?.api_url ?? ""} 没有应答。请确认平台已经启动（make demo 会一起启动），再点「重试」。`],
  platform_silent: (app) => ["平台应答太慢", `已等待 20 秒，${app?.api_url ?? "平台"} 仍没有应答。请查看平台日志，再点「重试」。`],
  no_api_url: () => ["还没有平台地址", "这个小程序的设置里缺少 api_url。请在 setup 里写上平台地址，例如 http://127.0.0.1:8000，再点「重试」。"],
  no_app: () => ["小程序不在了", "模拟器可能重置过。请刷新页面，重新选择小程序和用户。"],
  no_user: () => ["这个用户不在了", "模拟器可能重置过。请到「我」里重新选择用户。"],
  throttled: () => ["请求太频繁", "平台请你慢一点。请稍等几秒，再点「重试」。"],
};

/** [title, text] of an error; `app` is the mini-program it happened in. */
export function explain(error, app) {
  const known = ERRORS[error.code];
  if (known) return known(app);
  if (error.status === 429) return ERRORS.throttled();
  if (error.status === 401 || error.status === 403) {
    return ["平台拒绝了登录", `${error.message}（${error.code}）请核对平台里这个小程序的 AppID 和密钥，再点「重试」。`];
  }
  if (error.status >= 500) return ["平台出错了", "平台没能处理这个请求。请查看平台日志，再点「重试」。"];
  return ["请求没有成功", error.message ? `${error.message}（${error.code}）` : `页面出错：${error.code ?? error}`];
}

const CLOCK = new Intl.DateTimeFormat("zh-CN", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

export function clock(date) {
  return CLOCK.format(date);
}

/** A moment as WeChat writes it: 11:46, 昨天 11:46, 11月22日 11:46, 2025年11月22日 11:46. */
export function moment(date, now = new Date()) {
  const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
  if (days === 0) return clock(date);
  if (days === 1) return `昨天 ${clock(date)}`;
  const year = date.getFullYear() === now.getFullYear() ? "" : `${date.getFullYear()}年`;
  return `${year}${date.getMonth() + 1}月${date.getDate()}日 ${clock(date)}`;
}

/** A day without its time, for lists. */
export function day(date, now = new Date()) {
  const said = moment(date, now);
  return said.startsWith("昨天") ? "昨天" : said.split(" ")[0];
}

function midnight(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}

const KINDS = { one_time: "一次性", long_term: "长期", capped_long_term: "长期", service_card: "服务卡片" };

export function kind(name) {
  return KINDS[name] ?? "";
}

/** What the platform has in stock of a template: [words, tone]. */
export function stock(template, subscription) {
  if (subscription?.state === "banned") return ["已停用", "bad"];
  if (subscription?.state === "suspended") return ["暂停中", "bad"];
  if (template.kind !== "one_time") return subscription?.state === "on" ? ["已开启", "good"] : ["未开启", "none"];
  const available = subscription?.available ?? 0;
  return [`剩余 ${available} 次`, available > 0 ? "good" : "none"];
}

/** 「o6cJ…k2Rw」 */
export function short(openid) {
  return openid.length > 14 ? `${openid.slice(0, 6)}…${openid.slice(-4)}` : openid;
}

const FOOTERS = { zh_CN: "进入小程序查看", en_US: "View in Mini Program", zh_HK: "進入小程序查看", zh_TW: "進入小程序查看" };

/** The last line of a card, in the language the sender chose. */
export function footer(lang) {
  return FOOTERS[lang] ?? FOOTERS.zh_CN;
}
