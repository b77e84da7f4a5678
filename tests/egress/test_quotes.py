"""What a receiver sent that is no HTTP is not repeated: it may be a secret that it was sent."""

from __future__ import annotations

import pytest
import trio

from hookhub.egress.http.answer_reader import AnswerReader
from hookhub.egress.http.connection import _check_first
from hookhub.egress.http.failures import BadAnswer

SECRET = "Zq9longsecretValue77"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (f"HTTP/1.1 {'z' * 130}{SECRET}\r\n\r\n", "status line"),
        (f"HTTP/1.1 200 OK\r\nno header{'q' * 150}{SECRET}\r\n\r\n", "header line"),
        (f"HTTP/1.1 200 OK\r\nX : it's \"{SECRET}\r\n\r\n", "header line"),
        (
            f"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n{'z' * 140}{SECRET}\r\n\r\n",
            "chunk header",
        ),
        (
            f"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na{SECRET}\r\n",
            "chunk footer",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "Only Transfer-Encoding: chunked is supported.",
        ),
    ],
)
def test_malformed_answer_is_described_and_not_quoted(answer: str, said: str) -> None:
    """A cut secret would not be masked, so the sentence says only which part of it was wrong."""
    reader = AnswerReader("POST", answer.encode())

    async def nothing() -> bytes:
        return b""

    async def read() -> None:
        await reader.head(nothing)
        while await reader.piece(nothing) is not None:
            pass

    with pytest.raises(BadAnswer) as raised:
        trio.run(read)
    assert said in str(raised.value)
    assert "b'" not in str(raised.value)
    assert SECRET[:1] not in str(raised.value)


def test_bytes_of_another_protocol_are_not_quoted() -> None:
    """The first bytes may be the first of a secret."""
    with pytest.raises(BadAnswer) as raised:
        _check_first(SECRET.encode())
    assert SECRET[:4] not in str(raised.value)
