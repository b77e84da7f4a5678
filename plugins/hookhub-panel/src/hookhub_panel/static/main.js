// The panel: who is signed in, which page is seen, language and colours.

import { abilities, Api, kept, Problem, Unreachable } from "./parts/api.js";
import { Feed } from "./parts/feed.js";
import { useRedraw } from "./parts/hooks.js";
import { chooseLanguage, currentLanguage, t } from "./parts/i18n.js";
import { State } from "./parts/state.js";
import { Toast, Trouble } from "./parts/ui.js";
import { PAGES } from "./pages/pages.js";
import { SignIn } from "./pages/sign-in.js";
import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useRef, useState } from "./vendor/preact/preact-htm.js";

const THEME = "hookhub.theme";
const ASK = 3_000; // milliseconds
const HEADER = /^[\x21-\x7e]+$/; // anything else cannot stand in a header

/** Signs in: gives the session that pages work with. `onEnd(key)`: it is over, and why. */
async function open(token, onEnd) {
  if (!HEADER.test(token)) throw new Error(t("signin.characters"));
  const api = new Api(token);
  const can = await abilities(api);
  if (!Object.values({ ...can, webhooks: false }).includes(true)) throw new Error(t("signin.no_scope"));
  kept.save(token);
  const session = { api, can, feed: null };
  api.onUnauthorized = () => onEnd("signin.unauthorized");
  if (can["events:read"]) {
    const known = new Set(["revoked", "expired", "dismissed"]);
    session.feed = new Feed(api, {
      // The token may still be good: the WebSocket can be refused for the page's address alone.
      onEnd: (code) => {
        if (code === "revoked" || code === "expired") onEnd(`signin.${code}`);
        else if (!known.has(code)) api.get("events", { limit: 1 }).catch(() => {});
      },
    });
    session.feed.load("", null);
  }
  // Without the feed nobody says that the token was revoked; a 401 does, whatever its scopes.
  const ask = () => {
    if (session.feed && session.feed.state.name !== "stopped") return;
    api.get(can["events:read"] ? "events" : "replays", { limit: 1 }).catch(() => {});
  };
  const timer = setInterval(ask, ASK);
  session.close = () => {
    clearInterval(timer);
    api.close();
    session.feed?.close();
  };
  return session;
}

function reasonOf(error) {
  if (error instanceof Unreachable) return t("signin.unreachable");
  if (error.status === 401) return t("signin.wrong");
  if (error instanceof Problem) return t("signin.failed", { detail: error.message });
  return error.message;
}

function placeOf(hash, session) {
  const [, name, rest] = hash.match(/^#\/([\w-]+)(?:\/(.*))?$/) ?? [];
  const page = PAGES.find((item) => item.name === name && isThere(item, session)) ?? PAGES[0];
  return { page, rest: page.name === name ? decoded(rest ?? "") : "" };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const isThere = (page, session) => page.name !== "webhooks" || session.can.webhooks;

function useTheme() {
  const [theme, setTheme] = useState(localStorage.getItem(THEME) ?? "");
  useLayoutEffect(() => {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    localStorage.setItem(THEME, theme);
  }, [theme]);
  return [theme, setTheme];
}

function useHash() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return hash;
}

/** A page begins at its top, and has the focus if that was on what is gone. */
function useArrival(place) {
  const before = useRef(place);
  useLayoutEffect(() => {
    const moved = before.current !== place && before.current && place;
    before.current = place;
    if (!moved) return;
    scrollTo(0, 0);
    if (document.activeElement === document.body) document.querySelector("main h1")?.focus();
  }, [place]);
}

function App() {
  const [session, setSession] = useState(null);
  const [entry, setEntry] = useState({ problem: null, token: "", ready: false }); // problem(): its text
  const [toast, setToast] = useState(null);
  const [theme, setTheme] = useTheme();
  const current = useRef(null);
  const redraw = useRedraw();
  const hash = useHash();

  const signOut = (key) => {
    if (!current.current) return;
    kept.forget();
    current.current.close();
    current.current = null;
    setSession(null);
    setToast(null);
    setEntry({ problem: key && (() => t(key)), token: "", ready: true });
  };
  const signIn = async (token, again = false) => {
    try {
      const opened = await open(token, signOut);
      opened.say = (words) => setToast({ words });
      current.current = opened;
      setSession(opened);
    } catch (error) {
      const down = again && error instanceof Unreachable;
      if (again && !down) kept.forget();
      // So that one press tries again.
      setEntry({ problem: () => reasonOf(error), token: down ? token : "", ready: true });
    }
  };
  useEffect(() => {
    const token = kept.load();
    if (token) signIn(token, true);
    else setEntry({ problem: null, token: "", ready: true });
  }, []);

  const { page, rest } = session ? placeOf(hash, session) : {};
  const language = currentLanguage();
  useLayoutEffect(() => {
    document.documentElement.lang = language;
    document.title = page ? `${t(`nav.${page.name}`)} – hookhub` : "hookhub";
  }, [page, language]);
  useArrival(page && `${page.name}/${rest}`);
  const speak = (tag) => {
    chooseLanguage(tag);
    redraw();
  };
  const tools = { theme, setTheme, language, speak };
  return html`<${Bar} session=${session} page=${page} tools=${tools} signOut=${() => signOut()} />
    <main id="main">
      ${session
        ? html`<section id=${page.name} key=${`${page.name}/${rest}`} aria-label=${t(`nav.${page.name}`)}>
            <${Whole}><${page.view} session=${session} rest=${rest} theme=${theme} /><//></section>`
        : entry.ready && html`<${SignIn} token=${entry.token} problem=${entry.problem?.()} signIn=${signIn} />`}
    </main>
    <${Toast} text=${toast} />`;
}

/** A mistake in a page is told, and does not take the rest of the panel with it. */
function Whole({ children }) {
  const [error, again] = useErrorBoundary((thrown) => reportError(thrown));
  if (!error) return children;
  return html`<${Trouble} problem=${new Error(t("problem.panel", { detail: String(error) }))} />
    <p><button type="button" onClick=${again}>${t("problem.again")}</button></p>`;
}

/** For the keyboard: past the sections, to the page. */
const Skip = () =>
  html`<button type="button" class="skip" onClick=${() => document.querySelector("main :is(h1, input, button, a)")?.focus()}>${t("nav.skip")}</button>`;

function Bar({ session, page, tools, signOut }) {
  return html`<header id="bar">
    ${session && html`<${Skip} />`}
    <a class="brand" href="#/live" aria-label="hookhub"><img src="icon.svg" alt="" width="24" height="24" /><span>hookhub</span></a>
    ${session && html`<${Tabs} session=${session} page=${page} />`}
    ${session && html`<${State} session=${session} />`}
    <div class="tools">
      <select id="language" aria-label=${t("tool.language")} title=${t("tool.language")} value=${tools.language} onChange=${(event) => tools.speak(event.currentTarget.value)}>
        <option value="en" lang="en">English</option><option value="ru" lang="ru">Русский</option>
      </select>
      <select id="theme" aria-label=${t("tool.theme")} title=${t("tool.theme")} value=${tools.theme} onChange=${(event) => tools.setTheme(event.currentTarget.value)}>
        ${["", "light", "dark"].map((name) => html`<option value=${name}>${t(`theme.${name || "auto"}`)}</option>`)}
      </select>
      ${session && html`<button id="sign-out" type="button" onClick=${signOut}>${t("tool.sign_out")}</button>`}
    </div>
  </header>`;
}

function Tabs({ session, page }) {
  const place = useRef(null);
  useEffect(() => {
    const nav = place.current;
    const link = nav.querySelector("[aria-current]");
    if (link) nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
  }, [page]);
  const link = ({ name }) =>
    html`<a href="#/${name}" data-page=${name} aria-current=${name === page.name ? "page" : null}>${t(`nav.${name}`)}</a>`;
  return html`<nav id="tabs" ref=${place} aria-label=${t("nav.sections")}>
    ${PAGES.filter((item) => isThere(item, session)).map(link)}</nav>`;
}

render(html`<${App} />`, document.getElementById("app"));
