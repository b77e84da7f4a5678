"""OpenAPI and the page that shows them: complete, valid, and from this host alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from hookhub.hub import Hub
from hookhub.server import Started
from hookhub.testing.machine import find_program
from hookhub.web.openapi.schemas import patterns_of
from hookhub.web.resources import core_routes


@pytest.fixture
async def openapi(api: httpx.AsyncClient) -> dict[str, Any]:
    response = await api.get("/openapi.json")
    document: dict[str, Any] = response.json()
    return document


def references(node: Any) -> list[str]:
    """All ``$ref`` in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    if isinstance(node, list):
        return [found for value in node for found in references(value)]
    return []


def resolve(document: Any, reference: str) -> Any:
    node = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    return node


async def test_openapi_is_valid(openapi: dict[str, Any]) -> None:
    """OpenAPI 3.1, and every reference leads somewhere."""
    assert openapi["openapi"].startswith("3.1.")
    pytest.importorskip("openapi_spec_validator").validate(openapi)
    for reference in references(openapi):
        resolve(openapi, reference)


async def test_every_route_is_described(openapi: dict[str, Any], hub: Hub) -> None:
    """Those of the core and those of plugins, each with a summary and an id of its own."""
    described = {
        (method.upper(), path)
        for path, operations in openapi["paths"].items()
        for method in operations
    }
    for route in core_routes(hub):
        assert (route.method, route.path.replace(":int}", "}")) in described
    assert ("POST", "/things") in described
    assert ("GET", "/openapi.json") not in described
    operations = [item for path in openapi["paths"].values() for item in path.values()]
    ids = [item["operationId"] for item in operations]
    assert len(set(ids)) == len(ids)
    assert all(item["summary"] for item in operations)


async def test_what_an_operation_says(openapi: dict[str, Any]) -> None:
    """Scopes, bodies, answers and all that can go wrong."""
    publish = openapi["paths"]["/events"]["post"]
    assert publish["security"] == [{"bearer": ["events:write"]}, {"apiKey": ["events:write"]}]
    assert "`events:write`" in publish["description"]
    statuses = {"202", "400", "401", "403", "408", "409", "413", "415", "422", "429", "500", "503"}
    assert publish["responses"].keys() == statuses
    for status in statuses - {"202"}:
        [media] = publish["responses"][status]["content"]
        assert media == "application/problem+json"
    body = publish["requestBody"]
    assert body["required"]
    assert body["content"]["application/json"]["examples"]["user.created"]["value"] == {
        "type": "user.created",
        "payload": {"user_id": 1, "first_name": "Аня"},
    }
    [header] = publish["parameters"]
    assert (header["in"], header["name"]) == ("header", "Idempotency-Key")
    batch = openapi["paths"]["/events/batch"]["post"]["requestBody"]["content"]
    assert batch.keys() == {"application/json", "application/x-ndjson"}
    live = openapi["paths"]["/health/live"]["get"]
    assert live["security"] == []
    ready = openapi["paths"]["/health/ready"]["get"]["responses"]["503"]["content"]
    assert "application/json" in ready


async def test_what_an_event_may_hold(openapi: dict[str, Any]) -> None:
    """The body of an event is one of the declared types, each with its own payload."""
    schemas = openapi["components"]["schemas"]
    mapping = schemas["PostedEvent"]["discriminator"]["mapping"]
    assert {"$ref": mapping["user.created"]} in schemas["PostedEvent"]["oneOf"]
    assert len(mapping) == len(schemas["PostedEvent"]["oneOf"])
    user = resolve(openapi, mapping["user.created"])
    assert user["properties"]["type"] == {"type": "string", "const": "user.created"}
    payload = user["properties"]["payload"]
    assert (payload["required"], payload["additionalProperties"]) == (["user_id"], True)
    assert (user["additionalProperties"], user["required"]) == (False, ["type", "payload"])
    assert schemas["NewEvents"]["items"] == {"$ref": "#/components/schemas/PostedEvent"}


async def test_which_types_there_are(openapi: dict[str, Any]) -> None:
    """Where a known type is asked for, the description lists those; likewise for patterns."""
    members = openapi["paths"]["/things/wanted"]["post"]["requestBody"]["content"][
        "application/json"
    ]
    subscription = resolve(openapi, members["schema"]["$ref"])["properties"]
    [types] = [item for item in subscription["type"]["anyOf"] if item["type"] == "string"]
    assert {"user.created", "ticket.created"} <= set(types["enum"])
    assert set(types["enum"]) < set(subscription["patterns"]["items"]["enum"])
    assert {"*", "user.*", "ticket.*"} <= set(subscription["patterns"]["items"]["enum"])


def test_all_patterns_of_some_types() -> None:
    """Each type, everything above it, and everything there is."""
    assert patterns_of(["a.b.c", "a.d"]) == ["*", "a.*", "a.b.*", "a.b.c", "a.d"]
    assert patterns_of([]) == ["*"]


async def test_headers(openapi: dict[str, Any]) -> None:
    """Their values are described as they are checked."""
    [header] = openapi["paths"]["/events"]["post"]["parameters"]
    pattern = re.compile(header["schema"]["pattern"])
    assert all(pattern.match(value) for value in ("a", "a b", "~"))
    assert not any(pattern.match(value) for value in ("", " a", "a ", "ключ", "a\nb"))


async def test_parameters(openapi: dict[str, Any]) -> None:
    """Path parameters have their types; what a query may leave out is not null but absent."""
    [number] = openapi["paths"]["/things/{thing_id}"]["get"]["parameters"]
    assert (number["in"], number["required"]) == ("path", True)
    assert number["schema"]["type"] == "integer"
    parameters = {item["name"]: item for item in openapi["paths"]["/things"]["get"]["parameters"]}
    assert parameters["active"]["schema"] == {"type": "boolean"}
    assert parameters["limit"]["schema"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 200,
        "default": 50,
    }
    assert not parameters["limit"]["required"]


async def test_a_body_that_may_be_left_out(openapi: dict[str, Any]) -> None:
    """It is described so."""
    assert openapi["paths"]["/things"]["put"]["requestBody"]["required"] is False
    assert openapi["paths"]["/things"]["post"]["requestBody"]["required"] is True


async def test_the_root_leads_to_the_page(api: httpx.AsyncClient) -> None:
    """There is something to see at the root."""
    response = await api.get("/")
    assert (response.status_code, response.headers["location"]) == (302, "/docs")


async def test_the_page_asks_nobody_else(api: httpx.AsyncClient) -> None:
    """A strict policy, no inline script, and all files from here."""
    page = await api.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert re.findall(r"<script>|<style>|\son\w+=", page.text) == []
    files = re.findall(r'(?:src|href)="(/docs/[^"]+)"', page.text)
    assert len(files) == 4
    for file in files:
        assert (await api.get(file)).status_code == 200, file


async def test_the_page_in_a_browser(hub_server: Started, tmp_path: Path) -> None:
    """Chromium shows the operations, and nothing is blocked or missing."""
    browser = find_program("chromium", "chromium", "chromium-browser", "google-chrome")
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"),
        *("--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom"),
        f"{hub_server.addresses[0]}/docs",
    ]
    with trio.fail_after(60):
        result = await trio.run_process(command, capture_stdout=True, capture_stderr=True)
    page, log = result.stdout.decode(), result.stderr.decode()
    assert "opblock-summary" in page
    assert "/events/batch" in page
    assert [line for line in log.splitlines() if "CONSOLE" in line] == []


def test_swagger_ui_is_the_release_that_its_readme_names() -> None:
    """The vendored files, their licence and their version are together."""
    folder = Path(__file__).parents[2] / "hookhub" / "web" / "static" / "swagger"
    assert {item.name for item in folder.iterdir()} == {
        "LICENSE",
        "NOTICE",
        "README.md",
        "swagger-ui-bundle.js",
        "swagger-ui-bundle.js.LICENSE.txt",
        "swagger-ui.css",
    }
    found = re.search(r"version (\d+\.\d+\.\d+)", (folder / "README.md").read_text())
    assert found is not None
    bundle = (folder / "swagger-ui-bundle.js").read_text(encoding="utf-8")
    assert json.dumps(found[1])[1:-1] in bundle
