"""The seed document's own programs, taken from it to the letter and run."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from werkzeug.serving import make_server

SEED = Path(__file__).parent / "seed" / "seed.ru.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def snippet() -> Callable[[str, str], str]:
    """``snippet(language, words)``: the one code block of the document that holds the words."""
    blocks = _BLOCK.findall(SEED.read_text(encoding="utf-8"))

    def find(language: str, words: str) -> str:
        (found,) = [code for name, code in blocks if name == language and words in code]
        return str(found)

    return find


@dataclass(slots=True)
class Received:
    """A request to the seed's receiver, and what it answered."""

    body: bytes
    headers: dict[str, str]
    """Names in lower case."""
    status: int = 0


@dataclass(slots=True)
class SeedReceiver:
    """The Flask application of the document, running, with a record of what came and went."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    users: list[Any] = field(default_factory=list)
    """Payloads that reached the document's ``handle_new_user``."""
    payments: list[Any] = field(default_factory=list)

    def application(self, code: str) -> Any:
        """Run the document's code with the two functions that it leaves to the reader."""
        names: dict[str, Any] = {
            "__name__": "seed_receiver",
            "handle_new_user": self.users.append,
            "handle_payment": self.payments.append,
        }
        exec(compile(code, str(SEED), "exec"), names)
        return names["app"]

    def recorded(self, application: Any) -> Any:
        """A WSGI application that records around another."""

        def serve(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            headers = {
                name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
                for name, value in environ.items()
                if name.startswith("HTTP_") or name == "CONTENT_TYPE"
            }
            received = Received(body, headers)

            def answer(status: str, *rest: Any) -> Any:
                received.status = int(status.split()[0])
                self.requests.append(received)
                return start_response(status, *rest)

            from io import BytesIO

            answered: Iterable[bytes] = application(
                {**environ, "wsgi.input": BytesIO(body)}, answer
            )
            return answered

        return serve


@pytest.fixture
def seed_receiver(snippet: Callable[[str, str], str]) -> Iterator[SeedReceiver]:
    """The document's "Python Webhook receiver", its code unchanged, on a real socket."""
    receiver = SeedReceiver()
    application = receiver.application(snippet("python", "Flask(__name__)"))
    server = make_server("127.0.0.1", 0, receiver.recorded(application), threaded=True)
    receiver.url = f"http://127.0.0.1:{server.server_port}/webhook"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
