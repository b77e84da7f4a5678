"""The hub's REST API as any program uses it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

from hookhub.client.problems import error_of


class Api:
    """Calls to one hub.

    Args:
        url: its address.
        token: an admin token.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            # The hub is on this machine; a proxy knows nothing of it.
            trust_env=False,
            timeout=30.0,
        )

    async def __aenter__(self) -> Api:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call; returns the answer's JSON.

        Raises:
            HookhubError: the hub refused (NotFound also if no plugin serves the path).
        """
        content = {} if body is None else {"json": body}
        response = await self._http.request(method, path, **content)
        if not response.is_success:
            raise error_of(response.status_code, response.content, response.headers, path)
        return response.json() if response.content else None
