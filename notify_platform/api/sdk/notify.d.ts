// The types of notify.js. Every method returns a promise that is never rejected (undefined on a phone without promises),
// and takes a callback as its last argument; both get the same reply.

export interface Options {
  /** The address of the platform, https, among the request domains of your mini-program. */
  baseUrl: string;
  /** The app id of your mini-program. */
  appId: string;
  /**
   * Only when your own server signs people in (`POST sessions` with an API key): bring a session from there. Without it
   * the client uses wx.login. Call `done` with nothing when that failed.
   */
  getSession?: (done: (session?: { token: string; expires_at?: string; subscriber?: string } | null) => void) => void;
}

export interface Problem {
  /**
   * A word for programs: the server's (`invalid`, `unknown_scene`, `throttled` …) or the client's own: `offline`,
   * `timeout`, `bad_answer`, `login_failed`, `settings_failed`, `not_available`, `too_old`, `bad_options`, `client_error`.
   */
  code: string;
  /** A sentence for the developer, not for the person. */
  message: string;
  /** A sentence for each input that is wrong. */
  fields: Record<string, string>;
  /** The HTTP status, 0 when there was no answer. */
  status: number;
  /** Seconds to wait, 0 when nothing was said. */
  retryAfter: number;
}

export type Reply<T> = { ok: true; data: T } | { ok: false; error: Problem };
export type Done<T> = (reply: Reply<T>) => void;

export interface Session {
  token: string;
  expires_at: string;
  /** A name for the person; not the openid. */
  subscriber: string;
}

export interface PlanReason {
  template_id: string | null;
  code: string;
  message: string;
}

export interface Plan {
  prompt_id: string;
  /** Empty when there is nothing to ask; `reasons` says why. */
  template_ids: string[];
  /** To be shown before the popup. */
  words: string;
  /** The person keeps a yes to all of these: asking inside any tap shows no popup. */
  silent_top_up: boolean;
  reasons: PlanReason[];
}

/** Why WeChat's popup did not come; empty when it did. */
export type Reason =
  | ""
  /** Not fetched yet (it is being fetched now: the next tap can ask). */
  | "no_plan"
  /** The platform would not ask at the moment; see `reasons`. */
  | "nothing_to_ask"
  /** The person turned off all messages: offer a button that calls openSettings. */
  | "main_switch_off"
  /** WeChat has banned the mini-program from asking. */
  | "banned"
  /** This version of WeChat cannot ask. */
  | "not_available"
  /** Anything else; see `message` and `errCode`. */
  | "failed";

/** `none`: there never was a yes or a no that counts. */
export type State = "on" | "off" | "banned" | "suspended" | "none";
export type Kind = "one_time" | "long_term" | "long_term_capped" | "service_card";

export interface Balance {
  template_id: string;
  state: State;
  /** How many messages could be sent. */
  available: number;
  expires_at: string | null;
}

export interface Outcome {
  scene: string;
  /** Whether WeChat took the question; the person may still have refused. */
  asked: boolean;
  reason: Reason;
  /** Of `nothing_to_ask`. */
  reasons: PlanReason[];
  /** What WeChat said when it failed. */
  message: string;
  /** As WeChat gave it: template id → accept, reject, ban, filter … (and errMsg). */
  results: Record<string, string>;
  errCode: number;
  /** Whether a button that calls openSettings would help. */
  offerSettings: boolean;
  /** Whether the platform has the answer already; if not, it is stored and sent again later. */
  reported: boolean;
  balances: Balance[];
}

export interface Deed {
  /** `known`: this card was reported before; `none`: the page was not opened by a card. */
  deed: "open" | "shared_visit" | "visit" | "known" | "none";
}

export interface Conversion {
  /** False: stored, and sent again later. */
  reported: boolean;
  /** Whether a message gets the credit: the person's own, named by its `nk`. */
  attributed: boolean;
}

export interface Feedback {
  kind: "useful" | "irrelevant" | "too_often";
}

export interface Subscription extends Balance {
  title: string;
  kind: Kind;
}

export interface WeChatSettings {
  main_switch: boolean;
  /** Of the platform's own templates. */
  always_keep: { template_id: string; answer: string }[];
}

export interface PreferenceChanges {
  /** The ids of all muted templates, not only of the new ones. */
  muted?: string[];
  /** Hours and minutes of the person's own day, e.g. 22:00 and 08:00; null: none. */
  quiet_hours?: { from: string; until: string } | null;
  /** A moment such as 2026-12-01T00:00:00Z, in the future and within a year; null: no pause. */
  paused_until?: string | null;
}

export interface Preferences extends Required<PreferenceChanges> {
  time_zone: string;
  /** Every template the person ever had to do with. */
  templates: { template_id: string; title: string; kind: Kind; state: State; muted: boolean }[];
}

export interface Profile {
  nickname: string;
  region: string;
  city: string;
  /** A name such as Asia/Shanghai; empty: the mini-program's. */
  time_zone: string;
  interests: string[];
}

export interface Notify {
  /** Sign in, unless that is done; every other method does it by itself. */
  login(done?: Done<Session>): Promise<Reply<Session>>;
  /**
   * Fetch what to ask in a scene, ahead of the tap: in a page's onShow. The last five scenes are fetched anew by themselves
   * after an answer, a change of preferences and a report of the settings.
   */
  prefetch(scene: string, done?: Done<Plan>): Promise<Reply<Plan>>;
  /** Ask. Call it in the handler of a tap, before anything that waits. */
  ask(scene: string, done?: Done<Outcome>): Promise<Reply<Outcome>>;
  /** Report the card that led here; hand in the options of onLaunch, onShow or onLoad. Once for each card. */
  opened(options: unknown, done?: Done<Deed>): Promise<Reply<Deed>>;
  /** Report a launch, with the card's `nk` if one led there (then `opened` is not needed). */
  visit(page: string, done?: Done<Deed>): Promise<Reply<Deed>>;
  visit(page: string, nk: string | undefined, done?: Done<Deed>): Promise<Reply<Deed>>;
  /** Report that a goal was reached. Kept and sent again when the server cannot be reached. */
  convert(goal: string, done?: Done<Conversion>): Promise<Reply<Conversion>>;
  convert(
    goal: string,
    more: { value?: number | string; nk?: string } | undefined,
    done?: Done<Conversion>
  ): Promise<Reply<Conversion>>;
  /** What the person thinks of a message of their own; the latest word counts. */
  feedback(nk: string, kind: Feedback["kind"], done?: Done<Feedback>): Promise<Reply<Feedback>>;
  feedback(
    nk: string,
    kind: Feedback["kind"],
    text: string | undefined,
    done?: Done<Feedback>
  ): Promise<Reply<Feedback>>;
  /** Every template the person has to do with, and what could be sent. */
  subscriptions(done?: Done<{ subscriptions: Subscription[] }>): Promise<Reply<{ subscriptions: Subscription[] }>>;
  /** What the person wishes of the platform, for a page of preferences. */
  preferences(done?: Done<Preferences>): Promise<Reply<Preferences>>;
  /** Change some; what is left out stays as it is. */
  setPreferences(changes: PreferenceChanges, done?: Done<Preferences>): Promise<Reply<Preferences>>;
  /** Change some, an empty text clears; an empty object reads the record. */
  setProfile(changes: Partial<Profile>, done?: Done<Profile>): Promise<Reply<Profile>>;
  /** Report what wx.getSetting says of subscriptions. */
  reportSettings(done?: Done<WeChatSettings>): Promise<Reply<WeChatSettings>>;
  /** Open WeChat's settings, inside a tap, and report what was changed there. */
  openSettings(done?: Done<WeChatSettings>): Promise<Reply<WeChatSettings>>;
}

export function createNotify(options: Options): Notify;
