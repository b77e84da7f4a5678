"""The browser panel at ``/admin/``: files of this package, and nothing from anywhere else."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hookhub.errors import NotFound
from hookhub.routes import Request, Response, Route

FOLDER = Path(__file__).parent / "static" / "admin"
INDEX = "index.html"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Of every page of the hub: nothing but the hub's own files, and no framing."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    content_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> _File:
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:32]
        return cls(content, TYPES[path.suffix], f'"{digest}"')


class Panel:
    """Serves the panel's files, each read once; browsers ask whether theirs is still the same.

    Args:
        folder: what is in it is served, by its name.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {path.name: _File.read(path) for path in sorted(folder.iterdir())}

    def routes(self) -> Sequence[Route]:
        """Where it is served. The page's own links are relative: it works below a prefix, too."""
        return [
            Route("GET", "/admin", self.without_slash, None, "pages"),
            Route("GET", "/admin/", self.page, None, "pages"),
            Route("GET", "/admin/{name}", self.file, None, "pages"),
        ]

    async def without_slash(self, request: Request) -> Response:
        """Relative links need the slash."""
        return Response(status=302, headers={"Location": "admin/"})

    async def page(self, request: Request) -> Response:
        """The panel."""
        return self._answer(self._files[INDEX], request)

    async def file(self, request: Request) -> Response:
        """What the panel is made of."""
        name = str(request.params["name"])
        if name not in self._files:
            raise NotFound(f"There is no file {name[:100]!r} here.")
        return self._answer(self._files[name], request)

    def _answer(self, file: _File, request: Request) -> Response:
        # Trusted Types make sure of what the panel promises: text from events is never markup.
        policy = PAGE_HEADERS["Content-Security-Policy"]
        headers = {
            **PAGE_HEADERS,
            "Content-Security-Policy": f"{policy}; require-trusted-types-for 'script'",
            "Cache-Control": "no-cache",
            "ETag": file.etag,
        }
        if not has_changed(file.etag, request.headers):
            # RFC 9110 §8.6: of a 304, the length is the one that a 200 would have.
            headers["Content-Length"] = str(len(file.content))
            return Response(status=304, headers=headers)
        return Response(file.content, content_type=file.content_type, headers=headers)


def has_changed(etag: str, headers: Mapping[str, str]) -> bool:
    """Whether the client's copy is another one, by its If-None-Match (RFC 9110 §13.1.2)."""
    known = {tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")}
    return not known & {etag, "*"}
