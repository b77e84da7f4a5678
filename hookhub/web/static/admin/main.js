// The panel: signing in and out, the sections, language and colours, and the state of the feed.

import { abilities, Api, kept, Problem, Unreachable } from "./api.js";
import { byId } from "./dom.js";
import { applyTexts, chooseLanguage, currentLanguage, t } from "./i18n.js";
import { Live } from "./live.js";
import { Overview } from "./overview.js";
import { Webhooks } from "./webhooks.js";

const PAGES = ["live", "webhooks", "overview"];
const BOAST = 10_000; // how long the state says what was caught up
const THEME = "hookhub.theme";

let can = null; // what the token may do; null: signed out
let state = null;
let missed = 0; // events that are gone; null: an unknown number

const live = new Live({ onState: setState, onGap: addGap, onEnd: ended });
const webhooks = new Webhooks();
const overview = new Overview();

// -- signing in and out ----------------------------------------------------------------------

async function signIn(token) {
  // Anything else cannot stand in a header.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error(t("signin.characters"));
  const api = new Api(token);
  const found = await abilities(api);
  if (found.events !== "yes" && found.webhooks !== "yes") throw new Error(t("signin.no_scope"));
  kept.save(token);
  api.onUnauthorized = () => signOut("signin.unauthorized");
  can = found;
  byId("sign-in").hidden = true;
  byId("token").value = "";
  byId("sign-in-problem").textContent = "";
  for (const id of ["tabs", "connection", "sign-out"]) byId(id).hidden = false;
  document.querySelector("[data-page=webhooks]").hidden = can.webhooks === "absent";
  if (can.webhooks === "yes") webhooks.open(api);
  else webhooks.refuse();
  overview.open(api, can.webhooks === "yes");
  if (can.events === "yes") live.open(api);
  else {
    live.refuse();
    setState({ name: "no_scope" });
  }
  route();
}

function signOut(key) {
  if (can === null) return;
  can = null;
  kept.forget();
  live.close();
  webhooks.close();
  overview.close();
  missed = 0;
  setState(null);
  showSignIn(key ? t(key) : "");
}

function showSignIn(problem) {
  for (const id of ["tabs", "connection", "sign-out", ...PAGES]) byId(id).hidden = true;
  byId("sign-in").hidden = false;
  byId("sign-in-problem").textContent = problem;
  byId("token").focus();
}

function reasonOf(error) {
  if (error instanceof Unreachable) return t("signin.unreachable");
  if (error.status === 401) return t("signin.wrong");
  if (error instanceof Problem) return t("signin.failed", { detail: error.message });
  return error.message;
}

async function submit(event) {
  event.preventDefault();
  const button = byId("sign-in").querySelector("button");
  button.disabled = true;
  byId("sign-in-problem").textContent = "";
  try {
    await signIn(byId("token").value.trim());
  } catch (error) {
    showSignIn(reasonOf(error));
  }
  button.disabled = false;
}

function ended(why) {
  if (why === "expired" || why === "revoked") signOut(`signin.${why}`);
  else if (why.status !== 401) signOut("signin.unauthorized");
}

// -- the state of the feed -------------------------------------------------------------------

function setState(next) {
  state = next && { ...next, since: Date.now() };
  showState();
}

function addGap(count) {
  missed = count === null || missed === null ? null : missed + count;
  showState();
}

function stateText() {
  const wait = state.retryAt ? Math.max(0, Math.ceil((state.retryAt - Date.now()) / 1000)) : 0;
  switch (state.name) {
    case "live": {
      const fresh = state.recovered && Date.now() - state.since < BOAST;
      return fresh ? t("state.recovered", { n: state.recovered }) : t("state.live");
    }
    case "polling":
      return t(`state.polling.${state.reason}`);
    case "offline":
      if (!state.network) return t("state.no_network");
      return wait ? t("state.offline", { s: wait }) : t("state.offline_now");
    case "reconnecting":
      return wait ? t("state.reconnecting", { s: wait }) : t("state.reconnecting_now");
    default:
      return t(`state.${state.name}`);
  }
}

function showState() {
  const text = state ? stateText() : "";
  const place = byId("state");
  place.dataset.state = state?.name ?? "";
  place.title = state?.detail ?? "";
  // Set only when it differs: a screen reader says every change.
  if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
  const gap = byId("gap");
  gap.hidden = missed === 0;
  gap.textContent = missed === null ? t("gap.unknown") : t("gap.chip", { n: missed });
  gap.title = t("gap.dismiss");
}

// -- sections, language, colours -------------------------------------------------------------

function route() {
  if (!can) return;
  const [, page, id] = location.hash.match(/^#\/(\w+)(?:\/(\d+))?$/) ?? [];
  const known = PAGES.includes(page) && !(page === "webhooks" && can.webhooks === "absent");
  const shown = known ? page : "live";
  for (const name of PAGES) byId(name).hidden = name !== shown;
  for (const link of byId("tabs").children) {
    if (link.dataset.page === shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  webhooks.show(shown === "webhooks", id === undefined ? null : Number(id));
  overview.show(shown === "overview");
  document.title = `${t(`nav.${shown}`)} – hookhub`;
}

function showTexts() {
  applyTexts();
  for (const section of [live, webhooks, overview]) section.texts();
  showState();
  route();
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  localStorage.setItem(THEME, theme);
  byId("theme").value = theme;
}

async function begin() {
  setTheme(localStorage.getItem(THEME) ?? "");
  byId("language").value = currentLanguage();
  showTexts();
  byId("sign-in").addEventListener("submit", submit);
  byId("sign-out").addEventListener("click", () => signOut());
  byId("gap").addEventListener("click", () => {
    missed = 0;
    showState();
  });
  byId("theme").addEventListener("change", (event) => setTheme(event.target.value));
  byId("language").addEventListener("change", (event) => {
    chooseLanguage(event.target.value);
    showTexts();
  });
  addEventListener("hashchange", route);
  setInterval(showState, 500);
  const token = kept.load();
  if (!token) return showSignIn("");
  try {
    await signIn(token);
  } catch (error) {
    if (!(error instanceof Unreachable)) kept.forget();
    else byId("token").value = token; // so that one press tries again
    showSignIn(reasonOf(error));
  }
}

begin();
