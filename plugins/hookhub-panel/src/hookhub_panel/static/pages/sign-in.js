// Signing in with a token.

import { t } from "../parts/i18n.js";
import { html, useLayoutEffect, useRef, useState } from "../vendor/preact/preact-htm.js";

export function SignIn({ problem, token, signIn }) {
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  useLayoutEffect(() => {
    field.current.value = token;
    field.current.focus();
  }, [token]);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    await signIn(field.current.value.trim());
    setBusy(false);
  };
  return html`<form id="sign-in" class="card" onSubmit=${submit}>
    <img src="icon.svg" alt="" width="48" height="48" />
    <h1>${t("signin.title")}</h1>
    <p class="quiet">${t("signin.hint")}</p>
    <label for="token">${t("signin.token")}</label>
    <input id="token" ref=${field} type="password" autocomplete="off" autocapitalize="off" spellcheck="false" required aria-describedby="sign-in-problem" />
    <p id="sign-in-problem" class="problem" role="alert">${problem ?? ""}</p>
    <button class="primary" type="submit" disabled=${busy}>${t("signin.button")}</button>
    <p class="quiet small">${t("signin.kept")}</p>
  </form>`;
}
