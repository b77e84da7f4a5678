"""The browser panel at ``/admin/``: files of this package, and nothing from anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hookhub.errors import NotFound
from hookhub.routes import Request, Response, Route
from hookhub.web.files import TYPES, StaticFile

FOLDER = Path(__file__).parent / "static" / "admin"
VENDOR = Path(__file__).parent / "static" / "vendor"
"""Libraries of others; each folder says what, of which version, and how it was made."""
INDEX = "index.html"
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}
"""Of every page of the hub: nothing but the hub's own files, and no framing."""


class Panel:
    """Serves the panel's files, each read once; browsers ask whether theirs is still the same.

    Args:
        folder: what is in it and in its folders is served, by its name.
        vendor: what is in its folders is served below ``vendor/``; licences and notes are not.
    """

    def __init__(self, folder: Path = FOLDER, vendor: Path = VENDOR) -> None:
        self._files = {
            **_read(folder),
            **{f"vendor/{name}": file for name, file in _read(vendor).items()},
        }

    def routes(self) -> Sequence[Route]:
        """Where it is served. The page's own links are relative: it works below a prefix, too."""
        return [
            Route("GET", "/admin", self.without_slash, None, "pages"),
            Route("GET", "/admin/", self.page, None, "pages"),
            Route("GET", "/admin/{name}", self.file, None, "pages"),
            Route("GET", "/admin/{folder}/{name}", self.file, None, "pages"),
            Route("GET", "/admin/{folder}/{part}/{name}", self.file, None, "pages"),
        ]

    async def without_slash(self, request: Request) -> Response:
        """Relative links need the slash."""
        return Response(status=302, headers={"Location": "admin/"})

    async def page(self, request: Request) -> Response:
        """The panel."""
        return self._answer(self._files[INDEX], request)

    async def file(self, request: Request) -> Response:
        """What the panel is made of."""
        name = "/".join(
            str(request.params[part])
            for part in ("folder", "part", "name")
            if part in request.params
        )
        if name not in self._files:
            raise NotFound(f"There is no file {name[:100]!r} here.")
        return self._answer(self._files[name], request)

    def _answer(self, file: StaticFile, request: Request) -> Response:
        # Trusted Types make sure of what the panel promises: text from events is never markup.
        policy = PAGE_HEADERS["Content-Security-Policy"]
        headers = {
            **PAGE_HEADERS,
            "Content-Security-Policy": f"{policy}; require-trusted-types-for 'script'",
        }
        return file.answer(request, headers)


def _read(folder: Path) -> dict[str, StaticFile]:
    return {
        path.relative_to(folder).as_posix(): StaticFile.read(path)
        for path in sorted(folder.rglob("*"))
        if path.suffix in TYPES
    }
