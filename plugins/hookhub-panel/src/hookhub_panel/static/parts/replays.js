// Replays of a webhook: how far they are, and starting one after a dry run.

import { html, useEffect, useState } from "../vendor/preact/preact-htm.js";
import { EventTypesOf } from "./catalogue.js";
import { useAction, useLoaded } from "./hooks.js";
import { moment, number, t } from "./i18n.js";
import { printable } from "./text.js";
import { Choice, Dialog, Field, Pill, Progress, Trouble, useConfirm } from "./ui.js";

const REFRESH = { running: 1_000, quiet: 15_000 };
const SHOWN = 5;
const TONES = { running: "pending", paused: "", done: "success", cancelled: "", failed: "failed" };

export function Replays({ session, webhook }) {
  const [open, setOpen] = useState(false);
  const load = () => session.api.get("replays", { endpoint_id: webhook.id, limit: SHOWN });
  const [running, setRunning] = useState(false);
  const interval = running ? REFRESH.running : REFRESH.quiet;
  const { data, problem, refresh } = useLoaded(load, [webhook.id], interval);
  useEffect(() => setRunning(Boolean(data?.items.some(({ state }) => state === "running"))), [data]);
  const may = session.can["webhooks:write"];
  const items = data?.items ?? [];
  return html`<section id="replays" aria-label=${t("replay.heading")}>
    <div class="toolbar"><h2>${t("replay.heading")}</h2>
      ${may && html`<button type="button" id="replay-new" onClick=${() => setOpen(true)}>${t("replay.new")}</button>`}
      ${items.length === 0 && html`<span class="quiet">${t("replay.none")}</span>`}</div>
    <${Trouble} problem=${problem} />
    ${items.map((item) => html`<${Replay} key=${item.id} session=${session} item=${item} refresh=${refresh} may=${may} />`)}
    ${open && html`<${NewReplay} session=${session} webhook=${webhook} onClose=${() => setOpen(false)} onStarted=${refresh} />`}
  </section>`;
}

function Replay({ session, item, refresh, may }) {
  const [ask, question] = useConfirm();
  const { run, busy, problem } = useAction();
  const act = (verb) => run(() => session.api.post(`replays/${item.id}/${verb}`)).then(refresh);
  const cancel = () =>
    ask({
      title: t("replay.cancel_title", { id: item.id }),
      text: t("replay.cancel_text"),
      button: t("replay.cancel"),
      onYes: () => session.api.post(`replays/${item.id}/cancel`).then(refresh),
    });
  const alive = ["running", "paused", "failed"].includes(item.state);
  return html`<div class="card pad replay" data-state=${item.state}>
    <p class="line"><strong>#${item.id}</strong> <${Pill} tone=${TONES[item.state]}>${t(`replay.state.${item.state}`)}<//>
      <span>${t("replay.done", { done: item.done, n: item.total ?? 0 })}</span>
      <span class="quiet">${t(`replay.only.${item.only}`)} · ${item.events.join(", ")} · ${moment(item.created_at)}</span></p>
    <${Progress} done=${item.state === "done" ? item.total || 1 : item.done} total=${item.total || 1} label=${t("replay.progress", { id: item.id })} />
    ${item.gap && html`<p class="said">${t("replay.gap")}</p>`}
    ${item.error && html`<p class="said">${printable(item.error)}</p>`}
    ${may && alive && html`<div class="actions">
      ${item.state === "running"
        ? html`<button type="button" disabled=${busy} onClick=${() => act("pause")}>${t("replay.pause")}</button>`
        : html`<button type="button" disabled=${busy} onClick=${() => act("resume")}>${t("replay.resume")}</button>`}
      <button type="button" class="danger" onClick=${cancel}>${t("replay.cancel")}</button></div>`}
    <${Trouble} problem=${problem} />${question}</div>`;
}

const instant = (local) => (local ? new Date(local).toISOString() : null);

function NewReplay({ session, webhook, onClose, onStarted }) {
  const [form, setForm] = useState({ since: "", until: "", events: "", only: "all" });
  const [count, setCount] = useState(null);
  const { run, busy, problem } = useAction();
  const set = (name) => (value) => {
    setCount(null);
    setForm({ ...form, [name]: value?.currentTarget ? value.currentTarget.value : value });
  };
  const send = (dry_run) => {
    const patterns = form.events.split(",").map((text) => text.trim()).filter(Boolean);
    const body = { since: instant(form.since), until: instant(form.until), events: patterns.length ? patterns : null, only: form.only, dry_run };
    return session.api.post(`webhooks/${webhook.id}/replay`, body);
  };
  const count_ = () => run(async () => setCount((await send(true)).total));
  const start = () =>
    run(async () => {
      await send(false);
      session.say(t("replay.started"));
      onStarted();
      onClose();
    });
  const only = ["all", "failed", "never_sent"].map((name) => [name, t(`replay.only.${name}`)]);
  return html`<${Dialog} id="replay" title=${t("replay.title")} onClose=${onClose}>
    <p class="quiet">${t("replay.text")}</p>
    <div class="form">
      <${Field} id="replay-since" label=${t("replay.since")} hint=${t("replay.since_hint")}><input type="datetime-local" step="1" id="replay-since" value=${form.since} onInput=${set("since")} aria-describedby="replay-since-hint" /><//>
      <${Field} id="replay-until" label=${t("replay.until")}><input type="datetime-local" step="1" id="replay-until" value=${form.until} onInput=${set("until")} /><//>
      <${Field} id="replay-events" label=${t("replay.events")} hint=${t("replay.events_hint")}><input id="replay-events" list="replay-types" value=${form.events} onInput=${set("events")} placeholder=${t("live.filter_example")} aria-describedby="replay-events-hint" /><//>
      <${EventTypesOf} session=${session} id="replay-types" />
      <${Field} id="replay-only" label=${t("replay.only")}><${Choice} id="replay-only" value=${form.only} options=${only} onChange=${set("only")} /><//>
    </div>
    <${Trouble} problem=${problem} />
    <p role="status" id="replay-count">${count !== null && t("replay.count", { n: count })}</p>
    <div class="buttons"><button type="button" id="replay-dry" disabled=${busy} class=${count === null ? "primary" : ""} onClick=${count_}>${t("replay.dry")}</button>
      <button type="button" id="replay-start" disabled=${busy || !count} class=${count ? "primary" : ""} onClick=${start}>${t("replay.start", { n: number(count ?? 0) })}</button>
      <button type="button" onClick=${onClose}>${t("cancel")}</button></div>
  <//>`;
}
