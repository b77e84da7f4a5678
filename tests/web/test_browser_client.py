"""hub.js is served to pages of any origin, and they may call what it calls."""

from __future__ import annotations

import re

import httpx
import pytest

from hookhub.config import Settings
from hookhub.testing.serving import settings_for_tests
from hookhub.web.resources.pages import CLIENT

PAGE = "https://panel.example.org"
PREFLIGHT = {"Origin": PAGE, "Access-Control-Request-Headers": "authorization"}


@pytest.fixture
def hub_settings(hub_database: str, request: pytest.FixtureRequest) -> Settings:
    """With ``[live] origins``, if a test is parametrised with some."""
    tables = settings_for_tests(hub_database)
    tables["live"] = {**tables.get("live", {}), "origins": getattr(request, "param", [])}
    return Settings.model_validate(tables)


async def test_the_module_and_all_that_it_imports(api: httpx.AsyncClient) -> None:
    """Every part is there, may be read by any page, and none asks for another host."""
    waiting = ["/hub.js", "/hub.d.ts"]
    seen = set()
    while waiting:
        address = waiting.pop()
        seen.add(address.rsplit("/", 1)[1])
        response = await api.get(address, headers={"Origin": PAGE, "Authorization": ""})
        assert response.status_code == 200, address
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["cross-origin-resource-policy"] == "cross-origin"
        assert response.headers["x-content-type-options"] == "nosniff"
        kind = "javascript" if address.endswith(".js") else "plain"
        assert response.headers["content-type"] == f"text/{kind}; charset=utf-8"
        for target in re.findall(r'^import .* from "(.*)";$', response.text, re.MULTILINE):
            assert target.startswith("./")
            waiting.append(str(httpx.URL(f"http://hub{address}").join(target).path))
    assert seen == {path.name for path in CLIENT.iterdir()}


async def test_what_has_not_changed_is_not_sent_again(api: httpx.AsyncClient) -> None:
    """Caches ask each time, so that module and hub are of one version."""
    first = await api.get("/hub.js")
    assert first.headers["cache-control"] == "no-cache"
    again = await api.get("/hub.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("name", ["nothing.js", "hub.js", "..%2f..%2fpanel.py", "hub.d.ts"])
async def test_nothing_else_is_there(api: httpx.AsyncClient, name: str) -> None:
    """The folder is no way out, and the module has one address."""
    assert (await api.get(f"/hub/{name}")).status_code == 404


async def test_any_page_where_no_origin_is_listed(api: httpx.AsyncClient) -> None:
    """As with the WebSocket: a token decides, and nothing else."""
    for method, path in (("GET", "/events"), ("GET", "/events/stream")):
        answer = await api.options(path, headers=PREFLIGHT)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == method
        assert "Authorization" in answer.headers["access-control-allow-headers"]
    page = await api.get("/events", headers={"Origin": PAGE})
    refused = await api.get("/events", headers={"Origin": PAGE, "Authorization": "Bearer x"})
    assert (page.status_code, refused.status_code) == (200, 401)
    for answer in (page, refused):
        assert answer.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("hub_settings", [[PAGE]], indirect=True)
async def test_only_listed_pages(api: httpx.AsyncClient) -> None:
    """Where `[live] origins` says who, others get no permission from the browser."""
    for origin, allowed in ((PAGE, PAGE), ("https://evil.example", None), ("null", None)):
        for answer in (
            await api.options("/events/stream", headers={**PREFLIGHT, "Origin": origin}),
            await api.get("/events", headers={"Origin": origin}),
        ):
            assert answer.headers.get("access-control-allow-origin") == allowed
            assert answer.headers["vary"] == "Origin"


async def test_nothing_else_may_be_called_from_other_pages(api: httpx.AsyncClient) -> None:
    """What is not marked says nothing to browsers: publishing is no business of a page."""
    for path in ("/tokens", "/event-types", "/health/live"):
        assert (
            "access-control-allow-origin"
            not in (await api.get(path, headers={"Origin": PAGE})).headers
        )
        assert (await api.options(path, headers=PREFLIGHT)).status_code == 405
    posted = await api.post("/events", headers={"Origin": PAGE}, json={})
    assert "access-control-allow-origin" not in posted.headers
