"""Pages and files for browsers: each read once, unchanged ones not sent twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hookhub.contracts.routes import Request, Response

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",  # to browsers and proxies, .ts is a video
}

PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""Of every page of the hub: nothing but the hub's own files, and no framing."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file in memory, with what tells its versions apart."""

    content: bytes
    content_type: str
    etag: str

    @classmethod
    def read(cls, path: Path) -> StaticFile:
        """Read a file of one of the known :data:`TYPES`."""
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()[:32]
        return cls(content, TYPES[path.suffix], f'"{digest}"')

    def answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        """The file, or that the client's copy is the same; browsers ask every time.

        Args:
            headers: of both answers, besides those of caching.
        """
        headers = {**headers, "Cache-Control": "no-cache", "ETag": self.etag}
        if not has_changed(self.etag, request.headers):
            # RFC 9110 §8.6: of a 304, the length is the one that a 200 would have.
            headers["Content-Length"] = str(len(self.content))
            return Response(status=304, headers=headers)
        return Response(self.content, content_type=self.content_type, headers=headers)


def has_changed(etag: str, headers: Mapping[str, str]) -> bool:
    """Whether the client's copy is another one, by its If-None-Match (RFC 9110 §13.1.2)."""
    known = {tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")}
    return not known & {etag, "*"}
