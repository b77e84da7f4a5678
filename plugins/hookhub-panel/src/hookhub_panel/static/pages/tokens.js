// Tokens: who may use the API.

import { useAction, useLoaded } from "../parts/hooks.js";
import { moment, t } from "../parts/i18n.js";
import { printable } from "../parts/text.js";
import { Check, Dialog, Field, Head, More, NoScope, Pill, Secret, Time, Trouble, useConfirm } from "../parts/ui.js";
import { html, useState } from "../vendor/preact/preact-htm.js";

const REFRESH = 10_000;
const PAGE = 50;
const MORE = 200;
const SCOPES = ["events:read", "events:write", "webhooks:read", "webhooks:write", "admin"];

export function Tokens({ session }) {
  if (!session.can.admin) return html`<${NoScope} scope="admin" what="scope.tokens" />`;
  return html`<${List} session=${session} />`;
}

function List({ session }) {
  const [limit, setLimit] = useState(PAGE);
  const { data, problem, refresh } = useLoaded(() => session.api.list("tokens", {}, limit), [limit], REFRESH);
  const [open, setOpen] = useState(false);
  const [ask, question] = useConfirm();
  const heads = ["name", "scopes", "created", "expires", "used", "actions"];
  return html`<${Head} title=${t("nav.tokens")}><button type="button" id="token-new" class="primary" onClick=${() => setOpen(true)}>${t("tokens.new")}</button><//>
    <${Trouble} problem=${problem} />
    ${data && html`<div class="card" id="token-list"><table class="list"><thead><tr>${heads.map((name) => html`<th scope="col">${t(`token.${name}`)}</th>`)}</tr></thead>
      <tbody>${data.items.map((item) => html`<${Row} key=${item.id} session=${session} item=${item} refresh=${refresh} ask=${ask} />`)}</tbody></table></div>`}
    ${data?.total > PAGE && html`<${More} shown=${data.items.length} total=${data.total} onMore=${() => setLimit(limit + MORE)} />`}
    ${question}${open && html`<${NewToken} session=${session} onClose=${() => (setOpen(false), refresh())} />`}`;
}

function Row({ session, item, refresh, ask }) {
  const { run, busy, problem } = useAction();
  const { api } = session;
  const name = printable(item.name);
  const own = session.api.token.startsWith(item.prefix);
  const expired = item.expires_at && Date.parse(item.expires_at) < Date.now();
  const revoke = () =>
    ask({ title: t("revoke.title", { name }), text: `${t("revoke.text")}${own ? ` ${t("revoke.own")}` : ""}`, button: t("revoke.button"), onYes: () => api.post(`tokens/${item.id}/revoke`).then(refresh) });
  const remove = () =>
    ask({ title: t("delete.token_title", { name }), text: `${t("delete.token_text")}${own ? ` ${t("revoke.own")}` : ""}`, button: t("delete.button"), onYes: () => api.delete(`tokens/${item.id}`).then(refresh) });
  const cell = (head, content) => html`<td data-head=${t(`token.${head}`)}>${content}</td>`;
  return html`<tr data-token=${item.id}><td><span class="name">${name}</span> <span class="quiet mono">${printable(item.prefix)}…</span> ${item.revoked_at && html`<${Pill} tone="failed">${t("token.revoked")}<//>`} ${expired && html`<${Pill} tone="failed">${t("token.expired")}<//>`}
      ${item.description && html`<div class="quiet">${printable(item.description)}</div>`}</td>
    ${cell("scopes", item.scopes.map((scope) => html`<code class="scope">${scope}</code> `))}
    ${cell("created", html`<${Time} iso=${item.created_at} />`)}
    ${cell("expires", item.expires_at ? moment(item.expires_at) : t("token.no_expiry"))}
    ${cell("used", html`<${Time} iso=${item.last_used_at} />`)}
    <td><div class="actions">${item.revoked_at
      ? html`<button type="button" class="small" disabled=${busy} onClick=${() => run(() => api.post(`tokens/${item.id}/activate`)).then(refresh)}>${t("token.activate")}</button>`
      : html`<button type="button" class="small danger revoke" onClick=${revoke}>${t("revoke.button")}</button>`}
      <button type="button" class="small danger delete" onClick=${remove}>${t("delete.button")}</button></div><${Trouble} problem=${problem} /></td></tr>`;
}

function NewToken({ session, onClose }) {
  const [form, setForm] = useState({ name: "", description: "", expires: "", scopes: ["events:read"] });
  const [made, setMade] = useState(null);
  const { run, busy, problem } = useAction();
  const set = (name) => (event) => setForm({ ...form, [name]: event.currentTarget.value });
  const toggle = (scope) => (on) => setForm({ ...form, scopes: on ? [...form.scopes, scope] : form.scopes.filter((item) => item !== scope) });
  const submit = (event) => {
    event.preventDefault();
    const { name, description, expires, scopes } = form;
    const body = { name, scopes, description: description || null, expires_at: expires ? new Date(expires).toISOString() : null };
    run(async () => setMade(await session.api.post("tokens", body)));
  };
  if (made) {
    return html`<${Dialog} title=${t("tokens.made", { name: printable(made.name) })} onClose=${onClose} id="token-made" firm><${Secret} label=${t("signin.token")} value=${made.token} note=${t("secret.once")} />
      <div class="buttons"><button type="button" class="primary" onClick=${onClose}>${t("done")}</button></div><//>`;
  }
  return html`<${Dialog} title=${t("tokens.new")} onClose=${onClose} id="token-form"><form class="form" onSubmit=${submit}>
    <${Field} id="token-name" label=${t("token.name_field")}><input id="token-name" required maxlength="255" value=${form.name} onInput=${set("name")} autocomplete="off" /><//>
    <${Field} id="token-expires" label=${t("token.expires")} hint=${t("token.expires_hint")}><input id="token-expires" type="datetime-local" value=${form.expires} onInput=${set("expires")} aria-describedby="token-expires-hint" /><//>
    <fieldset class="control wide"><legend>${t("token.scopes")}</legend>${SCOPES.map((scope) => html`<${Check} key=${scope} id="scope-${scope}" checked=${form.scopes.includes(scope)} onChange=${toggle(scope)}><code>${scope}</code> <span class="quiet">${t(`token.scope.${scope}`)}</span><//>`)}</fieldset>
    <${Field} wide id="token-description" label=${t("webhook.description")}><input id="token-description" maxlength="1000" value=${form.description} onInput=${set("description")} /><//>
    <div class="wide"><${Trouble} problem=${problem} /></div>
    <div class="buttons wide"><button type="submit" id="token-create" class="primary" disabled=${busy || form.scopes.length === 0}>${t("tokens.create")}</button><button type="button" onClick=${onClose}>${t("cancel")}</button></div>
  </form><//>`;
}
