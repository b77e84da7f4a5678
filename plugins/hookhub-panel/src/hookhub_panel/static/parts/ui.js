// The small things that pages are made of.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../vendor/preact/preact-htm.js";
import { Unreachable } from "./api.js";
import { moment, t } from "./i18n.js";
import { pretty, printable } from "./text.js";

export const Pill = ({ tone = "", title, children }) =>
  html`<span class="pill ${tone}" title=${title}>${children}</span>`;

export const Time = ({ iso, precise }) =>
  iso ? html`<time datetime=${iso} title=${iso}>${moment(iso, precise)}</time>` : t("never");

export const Notice = ({ children, tone = "", id }) => html`<div class="notice ${tone}" id=${id}>${children}</div>`;

/** Why something failed, with the fields that were wrong. */
export function Trouble({ problem, id }) {
  if (!problem) return null;
  const text = problem instanceof Unreachable ? t("problem.unreachable") : problem.message;
  const fields = (problem.errors ?? []).filter(({ msg }) => !text.includes(msg));
  return html`<div class="trouble" role="alert" id=${id}>
    <p>${printable(text)}</p>
    ${fields.length > 0 &&
    html`<ul>
      ${fields.map(({ loc, msg }) => html`<li><code>${printable(loc.join("."))}</code> ${printable(msg)}</li>`)}
    </ul>`}
  </div>`;
}

/** What a token without a scope sees in place of a page. */
export const NoScope = ({ scope, what }) =>
  html`<div class="notice refused"><p>${t("scope.missing", { scope, what: t(what) })}</p>
    <p class="quiet">${t("scope.make")} <code>hookhub token create --name panel --scope ${scope}</code></p></div>`;

export const Empty = ({ children }) => html`<div class="notice empty">${children}</div>`;

export const Head = ({ title, children, back }) =>
  html`${back && html`<a class="back" href=${back.href}>← ${back.text}</a>`}
    <header class="head"><h1 tabindex="-1">${title}</h1><div class="actions">${children}</div></header>`;

/** Rows of a definition list; what is null is left out. */
export function Facts({ pairs, wide }) {
  const known = pairs.filter(([, value]) => ![null, undefined, false, ""].includes(value));
  return html`<dl class=${wide ? "facts wide" : "facts"}>
    ${known.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

export const Json = ({ value, label, id }) =>
  html`<pre id=${id} tabindex="0" role="region" aria-label=${label}>${typeof value === "string" ? printable(value) : pretty(value)}</pre>`;

/** Press to copy; says that it did. */
export function Copy({ text, label, id }) {
  const [done, setDone] = useState(null);
  const copy = async () => {
    const value = typeof text === "function" ? await text() : text;
    setDone((await toClipboard(value)) ? "copied" : "failed");
    setTimeout(() => setDone(null), 2_000);
  };
  return html`<button type="button" id=${id} class="small copy" onClick=${copy}>
    ${done ? t(`copy.${done}`) : (label ?? t("copy"))}</button>`;
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Without a secure context there is only the old way.
  }
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** A secret that is shown this one time. */
export const Secret = ({ label, value, note }) =>
  html`<div class="secret"><p><strong>${label}</strong> ${note}</p>
    <div class="line"><code tabindex="0">${value}</code><${Copy} text=${value} /></div></div>`;

/** A labelled control; `hint` says what is meant, `children` is the control with `id`. */
export const Field = ({ id, label, hint, children, wide }) =>
  html`<div class="control ${wide ? "wide" : ""}"><label for=${id}>${label}</label>${children}
    ${hint && html`<p class="hint" id="${id}-hint">${hint}</p>`}</div>`;

export const Check = ({ id, checked, onChange, children, disabled }) =>
  html`<label class="check"><input type="checkbox" id=${id} checked=${checked} disabled=${disabled}
    onChange=${(event) => onChange(event.currentTarget.checked)} /> <span>${children}</span></label>`;

/** A choice of one among few. */
export const Choice = ({ id, value, options, onChange, label }) =>
  html`<select id=${id} value=${value} aria-label=${label} onChange=${(event) => onChange(event.currentTarget.value)}>
    ${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}
  </select>`;

/** A modal window; Escape closes it, and a press beside it unless it is `firm`. */
export function Dialog({ title, onClose, children, wide, id, firm }) {
  const place = useRef(null);
  useLayoutEffect(() => {
    const dialog = place.current;
    dialog.showModal();
    // Closed first: only then the focus can go back to where it was.
    return () => dialog.close();
  }, []);
  const cancelled = (event) => {
    event.preventDefault();
    onClose();
  };
  const pressed = (event) => !firm && event.target === place.current && onClose();
  return html`<dialog ref=${place} id=${id} class=${wide ? "wide" : ""} aria-labelledby="dialog-title" onCancel=${cancelled} onMouseDown=${pressed}>
    <div class="dialog-body"><header class="head"><h2 id="dialog-title">${title}</h2>
      <button type="button" class="close" aria-label=${t("close")} onClick=${onClose}>✕</button></header>
    ${children}</div></dialog>`;
}

/** Asks once, says what will happen, and does it; the button waits for `onYes`. */
export function Confirm({ title, text, button, onYes, onClose }) {
  const [state, setState] = useState({});
  const yes = async () => {
    setState({ busy: true });
    try {
      await onYes();
      onClose();
    } catch (problem) {
      setState({ problem });
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose} id="confirm">
    <p>${text}</p><${Trouble} problem=${state.problem} />
    <div class="buttons"><button type="button" class="danger" id="confirm-yes" disabled=${state.busy} onClick=${yes}>${button}</button>
      <button type="button" autofocus onClick=${onClose}>${t("cancel")}</button></div>
  <//>`;
}

/** Gives `[ask, element]`: `ask({title, text, button, onYes})` shows the question in the element. */
export function useConfirm() {
  const [question, setQuestion] = useState(null);
  const element = question && html`<${Confirm} ...${question} onClose=${() => setQuestion(null)} />`;
  return [setQuestion, element];
}

/** Words that go away by themselves, read out to whoever does not see them. */
export function Toast({ text }) {
  const [shown, setShown] = useState("");
  useEffect(() => {
    setShown(text?.words ?? "");
    const timer = setTimeout(() => setShown(""), 6_000);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<div id="toast" role="status" class=${shown ? "seen" : ""}>${shown}</div>`;
}

/** "Show more" below a list of which only a part is here. */
export const More = ({ shown, total, onMore }) =>
  total > 0 &&
  html`<p class="more quiet">${t("list.of", { shown, n: total })}
    ${shown < total && html` <button type="button" onClick=${onMore}>${t("list.more")}</button>`}</p>`;

export const Progress = ({ done, total, label }) =>
  html`<progress max=${total || 1} value=${total ? done : 0} aria-label=${label}></progress>`;

/** The secrets of a webhook, just made: the only time that they are seen. */
export const Secrets = ({ webhook }) =>
  html`<${Secret} label=${t("secret.label")} value=${webhook.secret} note=${t("secret.once")} />
    ${webhook.signing_secret !== webhook.secret && html`<${Secret} label=${t("secret.standard")} value=${webhook.signing_secret} note=${t("secret.standard_note")} />`}`;
