"""The panel's files: the hub's own, unchanged ones not sent twice, and nothing else."""

from __future__ import annotations

import posixpath
import re
from pathlib import PurePosixPath

import httpx

from hookhub.contracts.files import TYPES
from hookhub_panel.panel import FOLDER, VENDOR

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_where_it_is(api: httpx.AsyncClient) -> None:
    """The root leads people to the panel and programs to the API; the slash is put right."""
    for path, headers, place in (("/", BROWSER, "/admin/"), ("/admin", {}, "/admin/")):
        answer = await api.get(path, headers=headers)
        assert answer.status_code == 302
        assert answer.next_request is not None
        assert answer.next_request.url.path == place
    assert (await api.get("/", headers={"Accept": "*/*"})).headers["location"] == "/docs"


async def test_needs_no_token(api: httpx.AsyncClient) -> None:
    """A visitor has none yet."""
    del api.headers["authorization"]
    assert (await api.get("/admin/")).headers["content-type"] == "text/html; charset=utf-8"


async def test_every_file_is_served_under_a_strict_policy(api: httpx.AsyncClient) -> None:
    """Nothing inline, nothing from elsewhere, nobody may frame it, types are not guessed."""
    files = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*.*")}
    for path in VENDOR.rglob("*.*"):
        if path.suffix in TYPES:
            files[f"vendor/{path.relative_to(VENDOR).as_posix()}"] = path
    assert len(files) > 20
    for name, path in files.items():
        answer = await api.get(f"/admin/{name}")
        assert answer.content == path.read_bytes(), name
        policy = answer.headers["content-security-policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"} <= {*policy}
        assert "require-trusted-types-for 'script'" in policy
        assert not re.search("unsafe|http|\\*", answer.headers["content-security-policy"])
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


async def test_links_are_relative(api: httpx.AsyncClient) -> None:
    """So the panel works below a prefix of a proxy; every file that the page asks for is there."""
    page = (await api.get("/admin/")).text
    files = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert {"main.js", "panel.css", "icon.svg", "vendor/uplot/uPlot.min.css"} == {*files}
    asked = {f"/admin/{name}" for name in files}
    for path in FOLDER.rglob("*.js"):
        place = PurePosixPath("/admin", path.relative_to(FOLDER).as_posix()).parent
        for name in re.findall(
            r'^(?:import|\} from) .*?"(\.[^"]+)";$', path.read_text("utf-8"), re.M
        ):
            asked.add(posixpath.normpath(place / name))
    assert "/hub.js" in asked
    assert "/admin/vendor/preact/preact-htm.js" in asked
    for address in asked:
        assert (await api.get(address)).status_code == 200, address


def test_whose_the_libraries_are() -> None:
    """Each folder of another project's files says which, of which version, under which licence."""
    for folder in VENDOR.iterdir():
        notes = (folder / "README.md").read_text("utf-8")
        assert re.search(r"\d+\.\d+\.\d+", notes), folder.name
        assert "LICENSE" in notes, folder.name
        assert (folder / "LICENSE").is_file(), folder.name
        for path in folder.iterdir():
            assert path.name in notes or path.name.startswith(("LICENSE", "README")), path.name


async def test_unchanged_files_are_not_sent_again(api: httpx.AsyncClient) -> None:
    """A browser asks with the tag that it has, every time."""
    first = await api.get("/admin/main.js")
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        answer = await api.get("/admin/main.js", headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["etag"] == tag
    answer = await api.get("/admin/main.js", headers={"If-None-Match": '"other"'})
    assert answer.status_code == 200


async def test_no_other_files(api: httpx.AsyncClient) -> None:
    """Only those of the folder, by their names."""
    for name in (
        "nope",
        "..%2fpanel.py",
        "..%2f..%2fapp.py",
        "%2e%2e",
        "index.html%00",
        "x/main.js",
        "pages/main.js",
        "vendor/uplot/README.md",
        "vendor/uplot",
    ):
        assert (await api.get(f"/admin/{name}")).status_code == 404, name
    assert (await api.post("/admin/")).status_code == 405
