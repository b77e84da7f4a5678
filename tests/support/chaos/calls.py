"""Requests to a hub that dies: repeated until there is an answer, where a repeat is harmless."""

from __future__ import annotations

from typing import Any

import httpx
import trio

from hookhub.testing.hub_process import HubProcess
from support.chaos.ledger import Ledger
from support.chaos.moments import Moments


class Body(httpx.AsyncByteStream):
    """A request's body. httpx's own is a generator, and leaves it open when the hub dies."""

    def __init__(self, data: bytes) -> None:
        self._data = [data]

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        if not self._data:
            raise StopAsyncIteration
        return self._data.pop()


class Gate:
    """Whether the hub runs, as far as those who use it know."""

    def __init__(self) -> None:
        self._open = trio.Event()

    def open(self) -> None:
        """It serves."""
        self._open.set()

    def close(self) -> None:
        """It is gone."""
        if self._open.is_set():
            self._open = trio.Event()

    async def wait(self) -> None:
        """Return when it serves."""
        await self._open.wait()


class OpenGate(Gate):
    """Of several hubs there is always one, or else they must find out for themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.open()

    def close(self) -> None:
        """It stays open."""


class Caller:
    """One client's connection.

    Args:
        gate: closed while there is no hub to call.
    """

    def __init__(self, hub: HubProcess, gate: Gate, moments: Moments, ledger: Ledger) -> None:
        self._http = hub.async_client()
        self._gate = gate
        self._moments = moments
        self._ledger = ledger

    async def aclose(self) -> None:
        """Close the connection."""
        await self._http.aclose()

    async def get(self, path: str) -> Any:
        """What a GET is answered."""
        response = await self.send("GET", path)
        assert response is not None
        assert response.is_success, f"GET {path}: {response.status_code} {response.text}"
        return response.json()

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "",
        repeat: bool = True,
        **options: Any,
    ) -> httpx.Response | None:
        """The answer; None if it was lost and the request may not be repeated.

        Args:
            body: sent as JSON.
            kind: what passes by when the request goes out.
            repeat: send it again until there is an answer.
        """
        if body is not None:
            options["json"] = body
        while True:
            await self._gate.wait()
            self._moments.passed(kind)
            request = self._http.build_request(method, path, **options)
            request.stream = Body(request.content)
            try:
                response = await self._http.send(request)
            except httpx.TransportError:
                self._ledger.answers["lost"] += 1
                if not repeat:
                    return None
                await trio.sleep(0.02)
                continue
            if response.status_code != 503:
                return response
            # Nothing was stored, says the hub; so whatever it was may be sent again.
            self._ledger.answers["503"] += 1
            await trio.sleep(0.1)
