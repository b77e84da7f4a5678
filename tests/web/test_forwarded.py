"""Whose a request is: the socket's peer, or whom a trusted proxy names."""

from __future__ import annotations

import pytest

from hookhub.http.forwarded import Forwarded


@pytest.mark.parametrize(
    ("trusted", "peer", "told", "client"),
    [
        # Nobody is trusted unless the configuration says so.
        ([], "10.0.0.1", "203.0.113.9", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.2", "203.0.113.9", "10.0.0.2"),
        (["10.0.0.1"], "10.0.0.1", "", "10.0.0.1"),
        (["10.0.0.1"], "10.0.0.1", "203.0.113.9", "203.0.113.9"),
        # What a client says itself stands further left.
        (["10.0.0.0/8"], "10.0.0.1", "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", "198.51.100.1,203.0.113.9 , 10.0.0.7", "203.0.113.9"),
        (["10.0.0.0/8"], "10.0.0.1", "10.1.1.1, 10.0.0.7", "10.1.1.1"),
        # Beyond what is no address, nobody can be believed.
        (["10.0.0.0/8"], "10.0.0.1", "203.0.113.9, unknown, 10.0.0.7", "10.0.0.7"),
        (["10.0.0.0/8"], "10.0.0.1", "nonsense", "10.0.0.1"),
        (["10.0.0.0/8"], "10.0.0.1", ",,", "10.0.0.1"),
        # As proxies write them.
        (["10.0.0.1"], "10.0.0.1", "203.0.113.9:4711", "203.0.113.9"),
        (["10.0.0.1"], "::ffff:10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        (["fd00::/8"], "fd00::1", "2001:DB8::1", "2001:db8::1"),
        (["10.0.0.1"], "10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
        (["unix"], "", "203.0.113.9", "203.0.113.9"),
        (["10.0.0.1"], "", "203.0.113.9", ""),
        (["unix"], "10.0.0.1", "203.0.113.9", "10.0.0.1"),
    ],
)
def test_who_it_is(trusted: list[str], peer: str, told: str, client: str) -> None:
    """The rightmost address that is no trusted proxy's, if the peer is one."""
    headers = [(b"host", b"hub"), (b"x-forwarded-for", told.encode())] if told else []
    assert Forwarded(trusted).client(peer, headers) == client


def test_repeated_headers_are_one_list() -> None:
    """In the order in which they came (RFC 9110 §5.3)."""
    headers = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", b"203.0.113.9")]
    assert Forwarded(["10.0.0.1"]).client("10.0.0.1", headers) == "203.0.113.9"


def test_a_very_long_list_is_not_walked_to_its_end() -> None:
    """A head is bounded, but a hundred proxies are none."""
    told = b", ".join([b"203.0.113.9", *[b"10.0.0.7"] * 100])
    client = Forwarded(["10.0.0.0/8"]).client("10.0.0.1", [(b"x-forwarded-for", told)])
    assert client == "10.0.0.7"
