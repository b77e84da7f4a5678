"""The panel's files, served at ``/admin/``, and nothing from anywhere else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hookhub.contracts.components import Source
from hookhub.contracts.errors import NotFound
from hookhub.contracts.files import PAGE_HEADERS, TYPES, StaticFile
from hookhub.contracts.routes import Request, Response, Route

FOLDER = Path(__file__).parent / "static"
VENDOR = Path(__file__).parent / "vendor"
"""Libraries of others; each folder says what, of which version, and how it was made."""
INDEX = "index.html"


class Panel(Source):
    """Serves the panel's files, each read once; browsers ask whether theirs is still the same.

    Args:
        folder: what is in it and in its folders is served, by its name.
        vendor: what is in its folders is served below ``vendor/``; licences and notes are not.
    """

    name = "panel"

    def __init__(self, folder: Path = FOLDER, vendor: Path = VENDOR) -> None:
        self._files = {
            **_read(folder),
            **{f"vendor/{name}": file for name, file in _read(vendor).items()},
        }

    def routes(self) -> Sequence[Route]:
        """Where it is served. The page's own links are relative: it works below a prefix, too."""
        handlers = {
            "/admin": self.without_slash,
            "/admin/": self.page,
            "/admin/{name}": self.file,
            "/admin/{folder}/{name}": self.file,
            "/admin/{folder}/{part}/{name}": self.file,
        }
        return [
            Route("GET", path, handler, None, "pages", described=False)
            for path, handler in handlers.items()
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
