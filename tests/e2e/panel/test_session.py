"""Signing in and out, and what a token may see."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hookhub.testing.hub_process import HubProcess

OpenPanel = Callable[..., Any]
Post = Callable[..., Any]


def test_signing_in_and_out(hub: HubProcess, open_panel: OpenPanel) -> None:
    """A wrong token is told from a right one, which stays in this tab and in no address."""
    panel = open_panel(hub).open("/")
    assert panel.page.url == f"{hub.url}/admin/"
    panel.sign_in("hh_wrong").says("#sign-in-problem", "does not know this token")
    panel.page.select_option("#language", "ru")
    panel.says("#sign-in-problem", "не знает этого токена")
    panel.page.select_option("#language", "en")
    panel.sign_in("ключ").says("#sign-in-problem", "only letters")
    panel.sign_in().live()
    assert panel.page.evaluate("Object.values(sessionStorage)") == [hub.token]
    assert hub.token not in panel.page.evaluate("JSON.stringify(localStorage) + document.cookie")
    panel.page.reload()
    panel.live()
    panel.page.click("#sign-out")
    panel.expect(panel.page.locator("#token")).to_be_focused()
    assert panel.page.evaluate("sessionStorage.length") == 0
    assert panel.page.input_value("#token") == ""
    assert panel.page.locator("#rows .row").count() == 0
    panel.page.reload()
    panel.expect(panel.page.locator("#sign-in")).to_be_visible()
    panel.check(provoked=True)


SEEN = {
    "events:read": {"live", "types", "connections"},
    "events:write": set(),
    "webhooks:read": {"webhooks", "nodes", "audit"},
    "webhooks:write": set(),
}
LACKS = {
    **{"live": "events:read", "types": "events:read", "connections": "events:read"},
    **{"webhooks": "webhooks:read", "audit": "webhooks:read", "overview": "webhooks:read"},
    "nodes": "webhooks:read",
    **{"tokens": "admin", "plugins": "admin"},
}


@pytest.mark.parametrize("scope", SEEN)
def test_what_a_token_may_not_see(
    hub: HubProcess, open_panel: OpenPanel, post: Post, scope: str
) -> None:
    """Each page that needs another scope names it; revoking ends the session of any scope."""
    made = post(hub, "/tokens", {"name": f"only {scope}", "scopes": [scope]})
    token = made["token"]
    panel = open_panel(hub).open().sign_in(token)
    if scope == "events:read":
        panel.live()
    else:
        panel.says("#state", "No access to events")
    for page, lacking in LACKS.items():
        panel.go(page)
        if page in SEEN[scope] or (page == "overview" and scope == "webhooks:read"):
            panel.expect(panel.page.locator("main h1, main #filter").first).to_be_visible()
            panel.expect(panel.page.locator(".refused")).to_have_count(0)
        else:
            panel.says(".refused", f"lacks the scope {lacking}")
    post(hub, f"/tokens/{made['id']}/revoke")
    panel.says("#sign-in-problem", "signed out")
    panel.check(provoked=True, token=token)


def test_looking_without_touching(hub: HubProcess, open_panel: OpenPanel, post: Post) -> None:
    """Without webhooks:write nothing is offered that would be refused, and it says why."""
    scopes = ["webhooks:read", "events:read"]
    token = post(hub, "/tokens", {"name": "looker", "scopes": scopes})["token"]
    webhook = {"name": "looked at", "url": "http://127.0.0.1:9/", "event_type": "none.*"}
    webhook |= {"event_type": "user.*", "is_active": False}
    made = post(hub, "/webhooks", webhook)
    panel = open_panel(hub).open().sign_in(token).live().go("webhooks")
    panel.says("main", "webhooks:write")
    panel.expect(panel.page.locator("#webhook-new")).to_have_count(0)
    panel.go("webhooks", str(made["id"])).says("h1", "looked at")
    panel.expect(panel.page.locator(".danger, #webhook-test, #replay-new")).to_have_count(0)
    panel.go("types", "user.created").says(".refused", "events:write")
    panel.check(provoked=True, token=token)


def test_revoked_at_once(hub: HubProcess, open_panel: OpenPanel, post: Post) -> None:
    """Whose token is revoked is out, wherever on the page; the tab forgets the token."""
    token = post(hub, "/tokens", {"name": "short-lived", "scopes": ["events:read"]})
    panel = open_panel(hub).open().sign_in(token["token"]).live().go("types")
    post(hub, f"/tokens/{token['id']}/revoke")
    panel.says("#sign-in-problem", "revoked")
    assert panel.page.evaluate("sessionStorage.length") == 0
    panel.check(provoked=True, token=token["token"])


def test_revoking_the_own_token(hub: HubProcess, open_panel: OpenPanel, post: Post) -> None:
    """The panel says that one will be signed out, and it is so."""
    token = post(hub, "/tokens", {"name": "suicidal", "scopes": ["admin"]})
    panel = open_panel(hub).open().sign_in(token["token"]).live().go("tokens")
    panel.page.click(f"[data-token='{token['id']}'] .revoke")
    panel.says("#confirm", "you will be signed out")
    panel.page.click("#confirm-yes")
    panel.expect(panel.page.locator("#sign-in")).to_be_visible()
    panel.says("#sign-in-problem", "signed out")
    panel.check(provoked=True, token=token["token"])
