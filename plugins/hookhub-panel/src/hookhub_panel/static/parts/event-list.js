// The rows of the live list: only those that are seen exist.

import { html, useLayoutEffect, useRef, useState } from "../vendor/preact/preact-htm.js";
import { useVirtual } from "./hooks.js";
import { moment, t } from "./i18n.js";
import { printable, summary, toneOf } from "./text.js";

const FRESH = 1_600; // milliseconds, as in panel.css
const HEIGHT = { wide: 38, narrow: 60 }; // as in panel.css

/** `handle.current.focus(key)` puts the focus on a row. */
export function EventList({ feed, open, narrow, handle, onOpen }) {
  const scroller = useRef(null);
  const added = useRef(feed.added);
  const wanted = useRef(null); // the key of the row that is to get the focus
  const [stop, setStop] = useState(null); // the key of the row that Tab reaches
  const rows = feed.shown;
  const at = (index) => rows[rows.length - 1 - index];
  const height = narrow ? HEIGHT.narrow : HEIGHT.wide;
  const virtual = useVirtual({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => height,
    getItemKey: (index) => at(index).key,
    overscan: 6,
  });
  useLayoutEffect(() => virtual.measure(), [height]);

  // New rows come in at the top; what a person reads or has the focus on stays where it is.
  useLayoutEffect(() => {
    const place = scroller.current;
    const more = feed.added - added.current;
    added.current = feed.added;
    const held = place.scrollTop > 0 || open || place.contains(document.activeElement);
    if (more > 0 && more < rows.length && held) place.scrollTop += more * height;
  });
  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const row = scroller.current.querySelector(`[data-key="${CSS.escape(wanted.current)}"] .row`);
    if (!row) return;
    wanted.current = null;
    row.focus({ preventScroll: true });
  });

  // A gap cannot have the focus: it is stepped over.
  const near = (index, step) => {
    while (at(index) && !at(index).event) index += step;
    return at(index) ? index : null;
  };
  const go = (index, step = 1) => {
    const limited = Math.max(0, Math.min(rows.length - 1, index));
    const to = near(limited, step) ?? near(limited, -step);
    if (to === null) return;
    wanted.current = at(to).key;
    setStop(at(to).key);
    virtual.scrollToIndex(to);
    if (open && !narrow) onOpen(at(to));
  };
  handle.current = {
    focus: (key) => {
      const index = rows.length - 1 - rows.findIndex((row) => row.key === key);
      if (index < rows.length) go(index);
    },
  };
  const pressed = (press) => {
    const key = document.activeElement?.closest("[data-key]")?.dataset.key;
    const index = rows.length - 1 - rows.findIndex((row) => String(row.key) === key);
    const page = Math.max(1, Math.floor(scroller.current.clientHeight / height) - 1);
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: rows.length - 1, PageDown: index + page, PageUp: index - page }[press.key];
    if (key === undefined || to === undefined || index >= rows.length) return;
    press.preventDefault();
    go(to, to < index ? -1 : 1);
  };

  const items = virtual.getVirtualItems().filter((item) => item.index < rows.length);
  const reached = items.some((item) => at(item.index).key === stop && at(item.index).event)
    ? stop
    : (items.map((item) => at(item.index)).find((row) => row.event)?.key ?? null);
  const away = scroller.current?.scrollTop > height;
  return html`<div class="list-frame" hidden=${rows.length === 0}>
    <div class="scroller" ref=${scroller} onKeyDown=${pressed}>
      <ol id="rows" aria-label=${t("live.list")} style=${{ height: `${virtual.getTotalSize()}px` }}>
        ${items.map((item) => {
          const row = at(item.index);
          return html`<li key=${row.key} data-key=${row.key} class=${row.event ? (performance.now() - row.at < FRESH ? "fresh" : "") : "gap"}
            aria-setsize=${rows.length} aria-posinset=${item.index + 1} style=${{ height: `${height}px`, transform: `translateY(${item.start}px)` }}>
            ${row.event ? html`<${Row} row=${row} open=${row.key === open?.key} tab=${row.key === reached} onOpen=${onOpen} onFocus=${() => setStop(row.key)} />` : gapText(row)}</li>`;
        })}
      </ol>
    </div>
    ${away && html`<button type="button" id="to-top" class="chip" onClick=${() => (scroller.current.scrollTop = 0)}>↑ ${t("live.newest")}</button>`}
  </div>`;
}

const gapText = ({ missed }) => (missed === null ? t("gap.row_unknown") : t("gap.row", { n: missed }));

function Row({ row, open, tab, onOpen, onFocus }) {
  const { event } = row;
  row.line ??= summary(event.payload);
  return html`<button type="button" class="row" tabindex=${tab ? 0 : -1} aria-current=${open ? "true" : null} onClick=${() => onOpen(row)} onFocus=${onFocus}>
    <time datetime=${event.timestamp}>${moment(event.timestamp)}</time>
    <span class="type tone-${toneOf(event.type)}">${printable(event.type)}</span>
    <span class="summary">${row.line}</span>
    <span class="sequence">#${event.sequence}</span>
  </button>`;
}
