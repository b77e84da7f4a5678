// The deliveries of a webhook: filters, attempt by attempt, trying them again.

import { html, useEffect, useState } from "../vendor/preact/preact-htm.js";
import { AttemptList } from "./attempts.js";
import { DeliveryFilters, findDeliveries, Further, isNarrow, NO_FILTERS } from "./delivery-filters.js";
import { useAction, useLoaded } from "./hooks.js";
import { moment, seconds, t } from "./i18n.js";
import { curlOf, requestOf } from "./request.js";
import { printable } from "./text.js";
import { Choice, Copy, Empty, Facts, Json, More, Pill, Trouble, useConfirm } from "./ui.js";

const PAGE = 25;
const MORE = 50;
const REFRESH = { all: 10_000, narrow: 30_000 };
const STATUSES = ["", "pending", "success", "failed"];

export function Deliveries({ session, webhook, news, refresh }) {
  const [status, setStatus] = useState("");
  const [search, setSearch] = useState("");
  const [filters, setFilters] = useState(NO_FILTERS);
  const [{ limit, turns }, setDepth] = useState({ limit: PAGE, turns: 1 });
  const more = () => setDepth({ limit: limit + MORE, turns: turns + 1 });
  const narrow = isNarrow(filters);
  const narrowTo = (wanted) => {
    setDepth({ limit: PAGE, turns: 1 });
    setFilters(wanted);
  };
  const [chosen, setChosen] = useState(new Set());
  const load = () => findDeliveries(session.api, `webhooks/${webhook.id}/deliveries`, status, filters, limit, turns);
  const found = useLoaded(load, [webhook.id, status, filters, limit], narrow ? REFRESH.narrow : REFRESH.all);
  // Looking through many again at every event would be too much.
  useEffect(() => void (news && !narrow && found.refresh()), [news]);
  const page = found.data;
  const words = search.trim().toLowerCase();
  const items = (page?.items ?? []).filter(
    (item) => !words || `${item.event_type} ${item.event_id} ${item.error_message ?? ""} ${item.response_status ?? ""} ${JSON.stringify(item.payload)}`.toLowerCase().includes(words),
  );
  const choose = (id, on) => {
    const next = new Set(chosen);
    if (on) next.add(id);
    else next.delete(id);
    setChosen(next);
  };
  const done = () => {
    setChosen(new Set());
    found.refresh();
    refresh();
  };
  const options = STATUSES.map((value) => [value, t(value ? `status.${value}` : "deliveries.all")]);
  return html`<section aria-label=${t("deliveries.title")} id="deliveries">
    <div class="toolbar"><h2>${t("deliveries.title")}</h2>
      <label class="field"><span>${t("deliveries.filter")}</span><${Choice} id="delivery-status" value=${status} options=${options} onChange=${setStatus} /></label>
      <label class="field grow"><span>${t("live.search")}</span><input type="search" id="delivery-search" placeholder=${t("live.search_example")} value=${search} onInput=${(event) => setSearch(event.currentTarget.value)} /></label>
      ${session.can["webhooks:write"] && html`<${Bulk} session=${session} webhook=${webhook} chosen=${chosen} done=${done} />`}</div>
    <${DeliveryFilters} session=${session} value=${filters} onChange=${narrowTo} />
    <${Trouble} problem=${found.problem} />
    ${page && items.length === 0 && html`<${Empty}>${t(page.total || status || narrow ? "deliveries.none_such" : "deliveries.empty")}<//>`}
    <div class="deliveries">${items.map(
      (item) => html`<${Delivery} key=${item.id} session=${session} webhook=${webhook} item=${item} chosen=${chosen.has(item.id)} choose=${choose} done=${done} />`,
    )}</div>
    ${page && page.total > 0 && html`<${More} shown=${page.items.length} total=${page.total} onMore=${more} />`}
    ${page && page.total === null && html`<${Further} found=${page} onMore=${more} />`}
  </section>`;
}

/** What comes of retries: how many are made now, and what the others wait for. */
function retriedText(answers) {
  const waiting = answers.filter((answer) => answer.waits_for);
  const now = answers.length - waiting.length;
  const texts = now ? [t("retry.done", { n: now })] : [];
  if (waiting.length) {
    const { waits_for: reason, probe_in: wait } = waiting[0];
    const key = reason === "circuit_breaker" && !wait ? "retry.probing" : `retry.${reason}`;
    texts.push(t("retry.waits", { n: waiting.length, reason: t(key, { time: seconds(Math.ceil(wait ?? 0)) }) }));
  }
  return texts.join(" ");
}

function Bulk({ session, webhook, chosen, done }) {
  const [ask, question] = useConfirm();
  const { run, busy, problem } = useAction();
  const retry = () =>
    run(async () => {
      const answers = [];
      for (const id of chosen) answers.push(await session.api.post(`deliveries/${id}/retry`));
      session.say(retriedText(answers));
      done();
    });
  const all = () =>
    ask({
      title: t("retry.all_title"),
      text: t("retry.all_text"),
      button: t("retry.all"),
      onYes: async () => {
        const { retried } = await session.api.post(`webhooks/${webhook.id}/retry-failed`);
        session.say(t("retry.done", { n: retried }));
        done();
      },
    });
  const cancel = () =>
    ask({
      title: t("pending.title"),
      text: t("pending.text"),
      button: t("pending.button"),
      onYes: async () => {
        const { cancelled } = await session.api.delete(`webhooks/${webhook.id}/deliveries`, { status: "pending" });
        session.say(t("pending.done", { n: cancelled }));
        done();
      },
    });
  return html`<div class="actions">
    ${chosen.size > 0 && html`<button type="button" id="retry-chosen" class="primary" disabled=${busy} onClick=${retry}>${t("retry.chosen", { n: chosen.size })}</button>`}
    <button type="button" id="retry-all" onClick=${all}>${t("retry.all")}</button>
    <button type="button" id="cancel-pending" onClick=${cancel}>${t("pending.button")}</button>
    <${Trouble} problem=${problem} />${question}</div>`;
}

function Delivery({ session, webhook, item, chosen, choose, done }) {
  const [open, setOpen] = useState(false);
  const next = item.next_retry_at && item.status === "pending" && t("delivery.next", { time: moment(item.next_retry_at) });
  const answer = item.error_message ?? (item.response_status && `HTTP ${item.response_status}`);
  const result = [answer, item.held && t("delivery.held"), next].filter(Boolean).join(" · ");
  const may = session.can["webhooks:write"];
  return html`<div class="delivery-row">
    ${may && html`<input type="checkbox" aria-label=${t("retry.choose", { id: item.id })} checked=${chosen} disabled=${item.status !== "failed"} onChange=${(event) => choose(item.id, event.currentTarget.checked)} />`}
    <details open=${open} onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary><${Pill} tone=${item.status}>${t(`status.${item.status}`)}<//><span class="mono type-name">${item.event_type}</span>
        <time datetime=${item.created_at}>${moment(item.created_at)}</time><span class="quiet">${t("delivery.attempts", { n: item.attempt_number })}</span>
        <span class="result">${printable(result)}</span></summary>
      ${open && html`<${Detail} session=${session} webhook=${webhook} item=${item} done=${done} />`}
    </details></div>`;
}

function Detail({ session, webhook, item, done }) {
  const seen = `${item.status} ${item.attempt_number}`;
  const found = useLoaded(() => session.api.get(`deliveries/${item.id}`), [item.id]);
  useEffect(() => void (found.data && found.refresh()), [seen]);
  const { run, busy, problem } = useAction();
  const [ask, question] = useConfirm();
  const delivery = found.data;
  if (!delivery) return html`<div class="detail"><${Trouble} problem=${found.problem} /></div>`;
  const post = (verb) => session.api.post(`deliveries/${item.id}/${verb}`);
  const retry = () =>
    run(async () => session.say(retriedText([await post("retry")]))).then(done);
  const skip = () =>
    ask({
      title: t("skip.title"),
      text: t("skip.text"),
      button: t("delivery.skip"),
      onYes: async () => {
        await post("skip");
        done();
      },
    });
  const last = delivery.attempts.at(-1);
  const request = requestOf(webhook, {
    event: { type: delivery.event_type, id: delivery.event_id, payload: delivery.payload },
    delivery: delivery.id,
    attempt: last?.number ?? 1,
    at: last?.started_at,
  });
  return html`<div class="detail">
    <div class="actions">
      ${session.can["webhooks:write"] && delivery.status !== "success" && html`<button type="button" class="primary retry" disabled=${busy} onClick=${retry}>${t("retry.one")}</button>`}
      ${session.can["webhooks:write"] && webhook.ordered && delivery.status !== "success" && html`<button type="button" class="skip-one" disabled=${busy} onClick=${skip}>${t("delivery.skip")}</button>`}
      <${Copy} label=${t("copy.curl")} text=${() => curlOf(request)} />
    </div>
    <${Trouble} problem=${problem} />${question}
    <h3>${t("delivery.attempts_title")}</h3>
    ${delivery.attempts.length ? html`<${AttemptList} attempts=${delivery.attempts} />` : html`<p class="quiet">${t("delivery.none_yet")}</p>`}
    <h3>${t("request.headers")}</h3><pre tabindex="0" role="region" aria-label=${t("request.headers")}>${request.headers.map(([name, value]) => printable(`${name}: ${value}`)).join("\n")}</pre>
    <div class="subhead"><h3>${t("request.body")}</h3><${Copy} text=${() => request.body} /></div>
    ${request.note && html`<p class="hint">${request.note}</p>`}
    <${Json} value=${request.body} label=${t("request.body")} />
    <${Facts} pairs=${[[t("event.id"), html`<code>${delivery.event_id}</code>`], [t("delivery.id"), `#${delivery.id}`]]} />
  </div>`;
}
