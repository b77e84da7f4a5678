// Overview: what the hub does now, and did over the last hour, day or week.

import { Chart } from "../parts/chart.js";
import { useLoaded } from "../parts/hooks.js";
import { number, percent, seconds, t } from "../parts/i18n.js";
import { printable } from "../parts/text.js";
import { Empty, Head, NoScope, Pill, Trouble } from "../parts/ui.js";
import { html, useMemo, useState } from "../vendor/preact/preact-htm.js";

const NOW = 3_000;
const SERIES = { hour: 10_000, day: 60_000, week: 300_000 };

export function Overview({ session, theme }) {
  const [range, setRange] = useState("hour");
  const may = session.can["webhooks:read"];
  const now = useLoaded(() => nowOf(session), [], NOW);
  const health = useLoaded(() => readiness(session.api), [], NOW);
  const past = useLoaded(() => (may ? absent(session.api.get("stats/series", { range })) : null), [range, may], SERIES[range]);
  const ranges = html`<div class="segments" role="group" aria-label=${t("overview.range")}>${["hour", "day", "week"].map(
    (name) => html`<button type="button" data-range=${name} aria-pressed=${name === range ? "true" : "false"} onClick=${() => setRange(name)}>${t(`overview.${name}`)}</button>`,
  )}</div>`;
  return html`<${Head} title=${t("nav.overview")}>${may && ranges}<//>
    <${Trouble} problem=${now.problem ?? health.problem} id="overview-problem" />
    ${may ? now.data && html`<${Tiles} now=${now.data} />` : html`<${NoScope} scope="webhooks:read" what="scope.stats" />`}
    ${may && html`<${Charts} past=${past.data} range=${range} theme=${theme} />`}
    ${health.data && html`<${Health} checks=${health.data} />`}`;
}

/** What a call brings; `{}` from a hub that has no such thing. */
const absent = (call) => call.catch((problem) => (problem.status === 404 ? {} : Promise.reject(problem)));

async function nowOf({ api, can }) {
  if (!can["webhooks:read"]) return null;
  const [now, stats] = await Promise.all([absent(api.get("stats/now")), absent(api.get("webhooks/stats"))]);
  return { ...stats, ...now };
}

async function readiness(api) {
  try {
    return (await api.get("health/ready")).checks;
  } catch (problem) {
    if (problem.body?.checks) return problem.body.checks; // 503, and what is wrong
    throw problem;
  }
}

const known = (value) => value !== undefined && value !== null;

function Tiles({ now }) {
  const share = known(now.success_rate) ? now.success_rate / 100 : null;
  const waiting = now.pending ?? now.pending_deliveries ?? 0;
  const tiles = [
    ["events_rate", known(now.events_per_second) && number(now.events_per_second, 1)],
    ["rate", share !== null && percent(share), share !== null && html`<meter min="0" max="1" low="0.9" optimum="1" value=${share} aria-label=${t("overview.rate")}></meter>`],
    ["latency", known(now.latency_p95) && seconds(now.latency_p95), known(now.latency_p50) && t("overview.latency_note", { p50: seconds(now.latency_p50), p99: seconds(now.latency_p99) })],
    ["pending", number(waiting), waiting ? known(now.oldest_pending_seconds) && t("overview.oldest", { time: seconds(now.oldest_pending_seconds) }) : t("overview.none_pending"), waiting ? "pending" : ""],
    ["failed", known(now.failed_deliveries) && number(now.failed_deliveries), "", now.failed_deliveries ? "failed" : ""],
    ["delivered", known(now.successful_deliveries) && number(now.successful_deliveries), "", "success"],
    ["webhooks", known(now.active_webhooks) && number(now.active_webhooks), known(now.total_webhooks) && t("overview.of", { n: now.total_webhooks })],
    ["breakers", known(now.open_breakers) && number(now.open_breakers), "", now.open_breakers ? "failed" : ""],
    ["connections", known(now.connections) && number(now.connections)],
  ];
  return html`<div id="tiles" class="tiles">${tiles
    .filter(([, value]) => value !== false)
    .map(([name, value, note, tone = ""]) => html`<div class="tile ${tone}" data-tile=${name}><span class="quiet">${t(`overview.${name}`)}</span><strong>${value}</strong><span class="quiet small">${note}</span></div>`)}</div>`;
}

function Charts({ past, range, theme }) {
  const points = past?.points;
  const columns = useMemo(() => points && columnsOf(points), [points]);
  if (!past) return null;
  if (!points) return html`<${Empty}>${t("overview.no_series")}<//>`;
  const of = (name, colour, more) => ({ label: t(`chart.${name}`), colour, values: columns[name], ...more });
  const chart = (title, series, show) => html`<${Chart} key=${title} title=${t(`chart.${title}`)} times=${columns.at} series=${series} range=${range} theme=${theme} show=${show} />`;
  const each = t("chart.each", { time: seconds(past.step) });
  return html`<p class="quiet">${each}</p><div class="charts">
    ${chart("events_title", [of("events", "--accent", { fill: true }), of("delivered", "--good"), of("failed", "--bad")])}
    ${chart("share_title", [of("share", "--good", { fill: true })], (value) => percent(value, 1))}
    ${chart("latency_title", [of("latency_p50", "--good"), of("latency_p95", "--warn"), of("latency_p99", "--bad")], seconds)}
    ${chart("backlog_title", [of("pending", "--warn", { fill: true })])}
    ${chart("oldest_title", [of("oldest_pending_seconds", "--warn")], seconds)}
    ${chart("live_title", [of("connections", "--accent"), of("open_breakers", "--bad")])}
  </div>`;
}

const NAMES = ["events", "delivered", "failed", "latency_p50", "latency_p95", "latency_p99", "pending", "oldest_pending_seconds", "open_breakers", "connections"];

function columnsOf(points) {
  const columns = Object.fromEntries(NAMES.map((name) => [name, points.map((point) => point[name] ?? null)]));
  columns.at = points.map(({ at }) => Date.parse(at) / 1000);
  columns.share = points.map(({ delivered, failed }) => (delivered + failed > 0 ? delivered / (delivered + failed) : null));
  return columns;
}

function Health({ checks }) {
  // "stopping" is no part of the hub; it matters only while it is so.
  const parts = Object.entries(checks).filter(([name, text]) => name !== "stopping" || text !== "ok");
  return html`<div id="health" class="card pad"><h2>${t("health.title")}</h2><ul>${parts.map(
    ([name, text]) => html`<li><${Pill} tone=${text === "ok" ? "success" : "failed"}>${name}<//> ${text === "ok" ? t("health.ok") : printable(text)}</li>`,
  )}</ul></div>`;
}
