// Live: the last events of the history, then what happens, newest first.

import { BASE } from "../parts/api.js";
import { EventTypesOf } from "../parts/catalogue.js";
import { EventDetail } from "../parts/event-detail.js";
import { useMedia, useRedraw } from "../parts/hooks.js";
import { number, t } from "../parts/i18n.js";
import { EventList } from "../parts/event-list.js";
import { curl } from "../parts/text.js";
import { Empty, NoScope, Trouble } from "../parts/ui.js";
import { html, useEffect, useRef, useState } from "../vendor/preact/preact-htm.js";

const NARROW = "(max-width: 899px)"; // as in panel.css

export function Live({ session }) {
  if (!session.feed) return html`<${NoScope} scope="events:read" what="scope.events" />`;
  return html`<${Stream} session=${session} feed=${session.feed} />`;
}

function Stream({ session, feed }) {
  const redraw = useRedraw();
  const [open, setOpen] = useState(null);
  const list = useRef(null);
  const narrow = useMedia(NARROW);
  useEffect(() => feed.listen(redraw), [feed]);
  const close = () => {
    setOpen(null);
    list.current?.focus(open?.key);
  };
  const escape = (press) => press.key === "Escape" && open && close();
  return html`<div class="live" onKeyDown=${escape}>
    <h1 class="sr" tabindex="-1">${t("nav.live")}</h1>
    <${Filter} session=${session} feed=${feed} />
    <div class="split">
      <div class="stream">
        ${feed.shown.length === 0 && !feed.loading && html`<${Nothing} session=${session} feed=${feed} />`}
        <${EventList} feed=${feed} open=${open} narrow=${narrow} handle=${list}
          onOpen=${(row) => setOpen(row && row.key === open?.key ? null : row)} />
      </div>
      ${open && html`<${EventDetail} key=${open.key} session=${session} event=${open.event} onClose=${close} focus=${narrow} />`}
    </div>
  </div>`;
}

function Filter({ session, feed }) {
  const [events, setEvents] = useState(feed.events.replaceAll(",", ", "));
  const [where, setWhere] = useState(feed.where ? JSON.stringify(feed.where) : "");
  const [wrong, setWrong] = useState("");
  const load = (event) => {
    event?.preventDefault();
    const patterns = completed(events);
    let filter = null;
    try {
      filter = where.trim() ? JSON.parse(where) : null;
    } catch (error) {
      setWrong(t("live.where_json", { detail: error.message }));
      return;
    }
    setWrong("");
    setEvents(patterns.replaceAll(",", ", "));
    const same = patterns === feed.events && JSON.stringify(filter) === JSON.stringify(feed.where);
    if (!same || feed.problem) feed.load(patterns, filter);
  };
  const typed = (setter) => (event) => setter(event.currentTarget.value);
  return html`<form id="filter-form" class="toolbar" onSubmit=${load}>
      <label class="field grow"><span>${t("live.filter")}</span>
        <input id="filter" type="search" list="types" value=${events} onInput=${typed(setEvents)} onChange=${load} autocomplete="off" autocapitalize="off" spellcheck="false"
          aria-invalid=${Boolean(feed.problem)} aria-describedby="filter-problem" placeholder=${t("live.filter_example")} /></label>
      <${EventTypesOf} session=${session} id="types" />
      <label class="field grow"><span>${t("live.where")}</span>
        <input id="where" type="search" value=${where} onInput=${typed(setWhere)} onChange=${load} autocomplete="off" autocapitalize="off" spellcheck="false"
          aria-invalid=${Boolean(wrong || feed.problem)} aria-describedby="filter-problem" placeholder=${'{"user_id": {"$gt": 100}}'} /></label>
      <label class="field grow"><span>${t("live.search")}</span>
        <input id="search" type="search" value=${feed.sought} onInput=${(event) => feed.search(event.currentTarget.value)} autocomplete="off" spellcheck="false" placeholder=${t("live.search_example")} /></label>
      <button type="submit" class="sr">${t("live.apply")}</button>
      <${Pause} feed=${feed} />
      <${Count} feed=${feed} />
    </form>
    <div id="filter-problem">${wrong ? html`<p class="problem" role="alert">${wrong}</p>` : html`<${Trouble} problem=${feed.problem} />`}</div>`;
}

/** A word alone is meant as a beginning: `user` is `user.*`. */
function completed(text) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  return parts.map((part) => (/^[a-z][a-z0-9_-]*$/.test(part) ? `${part}.*` : part)).join(",");
}

function Pause({ feed }) {
  const n = feed.waiting;
  const key = !feed.paused ? "live.pause" : n ? "live.resume_n" : "live.resume";
  return html`<button id="pause" type="button" aria-pressed=${feed.paused ? "true" : "false"} onClick=${() => feed.pause(!feed.paused)}>${t(key, { n })}</button>`;
}

function Count({ feed }) {
  const redraw = useRedraw();
  useEffect(() => {
    const timer = setInterval(redraw, 1000);
    return () => clearInterval(timer);
  }, []);
  const n = feed.shown.length;
  return html`<span id="live-count" class="quiet">${t("live.count", { n })} · ${t("live.rate", { rate: number(feed.rate, 1) })}</span>`;
}

function Nothing({ session, feed }) {
  if (feed.rows.length > 0) return html`<${Empty}>${t("live.empty_search")}<//>`;
  if (feed.events || feed.where) return html`<${Empty}>${t("live.empty_filter")}<//>`;
  const headers = [
    ["Authorization", "Bearer YOUR_API_TOKEN"],
    ["Content-Type", "application/json"],
  ];
  const example = { type: "user.created", payload: { user_id: 1 } };
  return html`<${Empty}><p>${t("live.empty")}</p>
    ${session.can["events:write"] && html`<p><a href="#/types">${t("live.empty_send")}</a></p>`}
    <p>${t("live.empty_curl")}</p>
    <pre tabindex="0" role="region" aria-label="curl">${curl("POST", String(new URL("events", BASE)), headers, JSON.stringify(example))}</pre><//>`;
}
