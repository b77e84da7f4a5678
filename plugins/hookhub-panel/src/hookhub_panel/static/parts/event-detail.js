// One event: what it says, where it went, and each attempt as it happens.

import { html, useEffect, useRef, useState } from "../vendor/preact/preact-htm.js";
import { AttemptList } from "./attempts.js";
import { matches } from "./catalogue.js";
import { useLoaded, useSignals, useThrottled } from "./hooks.js";
import { moment, number, t } from "./i18n.js";
import { pretty, printable } from "./text.js";
import { Copy, Facts, Json, Pill, Trouble } from "./ui.js";

const REFRESH = 5_000;

export function EventDetail({ session, event, onClose, focus }) {
  const close = useRef(null);
  useEffect(() => {
    if (focus) close.current.focus();
  }, []);
  return html`<aside id="event" class="card" aria-label=${t("event.title")}>
    <header class="head"><h2 id="event-type" class="mono">${printable(event.type)}</h2>
      <button id="event-close" ref=${close} type="button" class="close" aria-label=${t("close")} onClick=${onClose}>✕</button></header>
    <div id="event-facts"><${Facts} pairs=${[
      [t("event.time"), moment(event.timestamp, true)],
      [t("event.id"), html`<code>${event.id}</code>`],
      [t("event.sequence"), String(event.sequence)],
      [t("event.key"), event.key && printable(event.key)],
      [t("event.source"), event.source && printable(event.source)],
    ]} /></div>
    <div class="subhead"><h3>${t("event.payload")}</h3><${Copy} text=${() => pretty(event.payload)} /></div>
    <${Json} id="event-payload" value=${event.payload} label=${t("event.payload")} />
    <h3>${t("event.deliveries")}</h3>
    ${session.can["webhooks:read"]
      ? html`<${Deliveries} session=${session} event=${event} />`
      : html`<p class="quiet">${t("event.deliveries_scope")}</p>`}
    <${Followers} session=${session} event=${event} />
  </aside>`;
}

const FOLLOWERS = 20;

/** The panels and programs that follow the feed now and want such events. */
function Followers({ session, event }) {
  const { data } = useLoaded(() => session.api.list("live/connections", {}, 200), [event.id], REFRESH);
  if (!data) return null;
  const items = data.items.filter(({ events }) => (events ?? ["*"]).some((pattern) => matches(pattern, event.type)));
  return html`<h3>${t("event.followers")} (<a href="#/connections">${number(items.length)}</a>)</h3>
    <ul id="event-followers">${items.slice(0, FOLLOWERS).map(
      ({ id, token_name, kind, address, lag, where }) => html`<li key=${id} class="line"><span>${printable(token_name)}</span> <${Pill}>${kind}<//> <span class="quiet mono">${printable(address)}</span>
        ${where && Object.values(where).some(Boolean) && html`<code class="quiet">${printable(JSON.stringify(where))}</code>`} ${lag > 0 && html`<${Pill} tone="pending">${t("connection.lag")} ${number(lag)}<//>`}</li>`,
    )}</ul>
    ${!session.can.admin && html`<p class="quiet">${t("connections.own")}</p>`}`;
}

function Deliveries({ session, event }) {
  const found = useLoaded(() => session.api.get(`events/${event.id}/deliveries`, { limit: 200 }), [event.id]);
  const soon = useThrottled(found.refresh, 150);
  useSignals(session, { event_id: event.id }, soon);
  const items = found.data?.items;
  const missing = found.problem?.status === 404;
  return html`<div id="event-deliveries" aria-live="polite">
    ${!missing && html`<${Trouble} problem=${found.problem} />`}
    ${items?.length === 0 && html`<p class="quiet">${t("event.nowhere")}</p>`}
    ${items?.map((delivery) => html`<${Delivery} key=${delivery.id} session=${session} delivery=${delivery} />`)}
  </div>`;
}

function Delivery({ session, delivery }) {
  const name = useWebhookName(session, delivery);
  const next = delivery.next_retry_at && delivery.status === "pending" && t("delivery.next", { time: moment(delivery.next_retry_at) });
  return html`<article class="delivery" data-delivery=${delivery.id}>
    <p class="line">${name ? html`<a href="#/webhooks/${delivery.webhook_id}">${printable(name)}</a>` : `${delivery.sink} ${delivery.webhook_id}`}
      <${Pill} tone=${delivery.status}>${t(`status.${delivery.status}`)}<//>
      <span class="quiet">${t("delivery.attempts", { n: delivery.attempt_number })}${next && ` · ${next}`}</span></p>
    <${AttemptList} attempts=${delivery.attempts} />
  </article>`;
}

/** Asked for once in a session; other sinks' endpoints have none here. */
function useWebhookName(session, { sink, webhook_id }) {
  session.names ??= new Map();
  const [name, setName] = useState(session.names.get(webhook_id));
  useEffect(() => {
    if (name || sink !== "webhook" || !session.can.webhooks) return;
    const keep = (webhook) => {
      session.names.set(webhook_id, webhook.name);
      setName(webhook.name);
    };
    session.api.get(`webhooks/${webhook_id}`).then(keep, () => {});
  }, [webhook_id]);
  return name;
}
