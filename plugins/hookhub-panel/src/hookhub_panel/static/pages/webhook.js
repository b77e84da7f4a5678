// One webhook: how it does, what can be done with it, and its deliveries.

import { Deliveries } from "../parts/deliveries.js";
import { useEventTypes } from "../parts/catalogue.js";
import { useAction, useLoaded, useSignals, useThrottled } from "../parts/hooks.js";
import { moment, number, seconds, t } from "../parts/i18n.js";
import { Replays } from "../parts/replays.js";
import { printable } from "../parts/text.js";
import { Choice, Dialog, Facts, Field, Head, Json, Pill, Secrets, Trouble, useConfirm } from "../parts/ui.js";
import { WebhookForm } from "../parts/webhook-form.js";
import { Health } from "../parts/webhook-health.js";
import { html, useState } from "../vendor/preact/preact-htm.js";

const REFRESH = 5_000;

export function Webhook({ session, id, part }) {
  const found = useLoaded(() => session.api.get(`webhooks/${id}`), [id], REFRESH);
  const [news, setNews] = useState(0);
  const soon = useThrottled(() => {
    found.refresh();
    setNews((n) => n + 1);
  }, 300);
  useSignals(session, { endpoint_id: id }, soon);
  const webhook = found.data;
  const back = { href: "#/webhooks", text: t("webhooks.back") };
  if (!webhook) return html`<${Head} title=${t("nav.webhooks")} back=${back} /><${Trouble} problem=${found.problem} />`;
  if (part === "edit") return html`<${WebhookForm} session=${session} webhook=${webhook} />`;
  return html`<${Head} back=${back} title=${html`${printable(webhook.name)} <${Health} item=${webhook} />`}>
      ${session.can["webhooks:write"] && html`<${Actions} session=${session} webhook=${webhook} refresh=${soon} />`}<//>
    <${Trouble} problem=${found.problem} />
    <${About} webhook=${webhook} />
    <${Replays} session=${session} webhook=${webhook} />
    <${Deliveries} session=${session} webhook=${webhook} news=${news} refresh=${soon} />`;
}

const About = ({ webhook }) =>
  html`<div class="card pad"><${Facts} wide pairs=${[
    [t("webhook.url"), html`<code>${printable(webhook.url)}</code>`],
    [t("webhook.types"), html`<code>${webhook.event_types.join(", ")}</code>`],
    [t("webhook.filter"), webhook.filter && html`<code>${printable(JSON.stringify(webhook.filter))}</code>`],
    [t("webhook.transform"), webhook.transform?.name],
    [t("webhook.format"), t(`format.${webhook.format}`)],
    [t("webhook.description"), printable(webhook.description ?? "")],
    [t("webhook.signed"), t(webhook.has_secret ? "webhook.signed_secret" : "webhook.signed_key")],
    [t("webhook.headers"), Object.keys(webhook.headers).join(", ")],
    [t("webhook.ca"), webhook.ca && t("yes")],
    [t("webhook.ordered"), webhook.ordered && t("yes")],
    [t("webhook.timeout"), webhook.timeout && seconds(webhook.timeout)],
    [t("webhook.retry_schedule"), webhook.retry_schedule?.map(seconds).join(", ")],
    [t("webhook.concurrency"), webhook.concurrency && number(webhook.concurrency)],
    [t("webhook.rate_limit"), webhook.rate_limit && number(webhook.rate_limit)],
    [t("webhook.delivered"), number(webhook.success_count)],
    [t("webhook.failed"), number(webhook.failure_count)],
    [t("webhook.last"), moment(webhook.last_triggered_at)],
    [t("webhook.created"), moment(webhook.created_at)],
  ]} /></div>`;

function Actions({ session, webhook, refresh }) {
  const [ask, question] = useConfirm();
  const [dialog, setDialog] = useState("");
  const { run, busy, problem } = useAction();
  const { api } = session;
  const path = `webhooks/${webhook.id}`;
  const name = printable(webhook.name);
  const enable = () => run(() => api.post(`${path}/enable`)).then(refresh);
  const disable = () =>
    ask({ title: t("disable.title", { name }), text: t("disable.text"), button: t("disable.button"), onYes: () => api.post(`${path}/disable`).then(refresh) });
  const remove = () =>
    ask({
      title: t("delete.webhook_title", { name }),
      text: t("delete.webhook_text"),
      button: t("delete.button"),
      onYes: async () => {
        await api.delete(path);
        session.say(t("delete.done", { name }));
        location.hash = "#/webhooks";
      },
    });
  return html`<button type="button" id="webhook-test" class="primary" onClick=${() => setDialog("test")}>${t("webhook.test")}</button>
    <a class="button" id="webhook-edit" href="#/webhooks/${webhook.id}/edit">${t("webhook.edit")}</a>
    ${webhook.is_active
      ? html`<button type="button" id="webhook-disable" onClick=${disable}>${t("disable.button")}</button>`
      : html`<button type="button" id="webhook-enable" disabled=${busy} onClick=${enable}>${t("webhook.enable")}</button>`}
    <button type="button" id="webhook-rotate" onClick=${() => setDialog("rotate")}>${t("rotate.button")}</button>
    <button type="button" id="webhook-delete" class="danger" onClick=${remove}>${t("delete.button")}</button>
    <${Trouble} problem=${problem} />${question}
    ${dialog === "test" && html`<${Test} session=${session} webhook=${webhook} onClose=${() => setDialog("")} />`}
    ${dialog === "rotate" && html`<${Rotate} session=${session} webhook=${webhook} onClose=${() => setDialog("")} />`}`;
}

function Test({ session, webhook, onClose }) {
  const types = useEventTypes(session);
  const [type, setType] = useState("");
  const [result, setResult] = useState(null);
  const { run, busy, problem } = useAction();
  const send = () =>
    run(async () => setResult(await session.api.post(`webhooks/${webhook.id}/test`, type ? { event_type: type } : {})));
  const options = [["", t("test.first")], ...types.map(({ name }) => [name, name])];
  return html`<${Dialog} id="test" title=${t("test.title")} onClose=${onClose} wide>
    <p class="quiet">${t("test.text")}</p>
    <div class="line"><${Field} id="test-type" label=${t("test.type")}><${Choice} id="test-type" value=${type} options=${options} onChange=${setType} /><//>
      <button type="button" id="test-send" class="primary" disabled=${busy} onClick=${send}>${t("test.send")}</button></div>
    <${Trouble} problem=${problem} />
    <div role="status">${result && html`<${Result} result=${result} />`}</div>
  <//>`;
}

const Result = ({ result }) =>
  html`<p class="line"><${Pill} tone=${result.success ? "success" : "failed"}>${t(result.success ? "test.success" : "test.failed")}<//>
      ${result.response_status && html`<span>HTTP ${result.response_status}</span>`}<span>${seconds(result.duration)}</span></p>
    ${result.error_message && html`<p class="said">${printable(result.error_message)}</p>`}
    ${result.response_body && html`<h3>${t("attempt.body")}</h3><pre tabindex="0">${printable(result.response_body)}</pre>`}
    <h3>${t("test.sent", { type: result.event_type })}</h3><${Json} value=${result.payload} label=${t("event.payload")} />`;

function Rotate({ session, webhook, onClose }) {
  const [secret, setSecret] = useState("");
  const [answer, setAnswer] = useState(null);
  const { run, busy, problem } = useAction();
  const send = (event) => {
    event.preventDefault();
    run(async () => setAnswer(await session.api.post(`webhooks/${webhook.id}/rotate-secret`, secret ? { secret } : {})));
  };
  if (answer) return html`<${Dialog} id="rotate" title=${t("rotate.done")} onClose=${onClose} firm><${Secrets} webhook=${answer} /><//>`;
  return html`<${Dialog} id="rotate" title=${t("rotate.title")} onClose=${onClose}><form onSubmit=${send}>
    <p>${t("rotate.text")}</p>
    <${Field} id="rotate-secret" label=${t("rotate.own")} hint=${t("rotate.own_hint")}>
      <input id="rotate-secret" type="password" autocomplete="off" maxlength="255" value=${secret} onInput=${(event) => setSecret(event.currentTarget.value)} aria-describedby="rotate-secret-hint" /><//>
    <${Trouble} problem=${problem} />
    <div class="buttons"><button type="submit" id="rotate-yes" class="danger" disabled=${busy}>${t("rotate.button")}</button><button type="button" onClick=${onClose}>${t("cancel")}</button></div>
  </form><//>`;
}
