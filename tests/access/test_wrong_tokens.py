"""Who tries wrong tokens is slowed down, by address; pure decisions, told the time."""

from __future__ import annotations

import pytest

from hookhub.access.wrong_tokens import OTHERS, PERIOD, Report, WrongTokens, source_of


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unix"),
    ],
)
def test_what_is_one_source(address: str, source: str) -> None:
    """An IPv4 address; of IPv6 the /64, of which anybody has 2**64; all of a Unix socket."""
    assert source_of(address) == source


def test_a_burst_then_one_at_a_time() -> None:
    """Mistakes are forgiven; who goes on is told how long to wait, and may try again then."""
    wrong = WrongTokens(burst=3, interval=2.0)
    assert [wrong.take("192.0.2.1", 10.0) for _ in range(3)] == [0, 0, 0]
    assert wrong.take("192.0.2.1", 10.0) == 2.0
    assert wrong.take("192.0.2.1", 11.5) == 0.5
    assert wrong.take("192.0.2.1", 12.0) == 0
    assert wrong.take("192.0.2.1", 12.0) == 2.0
    assert [wrong.take("192.0.2.1", 100.0) for _ in range(4)] == [0, 0, 0, 2.0]


def test_each_source_has_its_own() -> None:
    """What one does is nothing to another."""
    wrong = WrongTokens(burst=1, interval=10.0)
    assert wrong.take("192.0.2.1", 0.0) == 0
    assert wrong.take("192.0.2.2", 0.0) == 0
    assert wrong.take("2001:db8::1", 0.0) == 0
    assert wrong.take("2001:db8::2", 0.0) == 10.0


def test_a_token_that_was_right_counts_for_nothing() -> None:
    """It was not known yet, that is all."""
    wrong = WrongTokens(burst=1, interval=10.0)
    for _ in range(5):
        assert wrong.take("192.0.2.1", 0.0) == 0
        wrong.give_back("192.0.2.1")
    assert wrong.report(0.0) is None


def test_the_table_is_bounded() -> None:
    """Beyond so many sources, new ones share a bucket; the old ones are not forgiven for it."""
    wrong = WrongTokens(burst=2, interval=10.0, capacity=3)
    for number in range(3):
        assert [wrong.take(f"192.0.2.{number}", 0.0) for _ in range(2)] == [0, 0]
    assert [wrong.take(f"198.51.100.{number}", 0.0) for number in range(4)] == [0, 0, 10, 10]
    assert wrong.take("192.0.2.0", 0.0) == 10.0
    assert len(wrong) == 4
    # Who has waited long enough makes room.
    assert wrong.take("198.51.100.9", 60.0) == 0
    assert wrong.take("198.51.100.9", 60.0) == 0
    assert wrong.take("198.51.100.9", 60.0) == 10.0
    assert len(wrong) == 1


def test_one_report_a_period() -> None:
    """It names the worst and counts all; a quiet time has none."""
    wrong = WrongTokens(burst=2, interval=10.0)
    assert wrong.report(0.0) is None
    wrong.take("192.0.2.1", 0.0)
    assert wrong.report(1.0) == Report("192.0.2.1", 1, 1, 1)
    for _ in range(5):
        wrong.take("2001:db8::5", 2.0)
    wrong.take("192.0.2.1", 2.0)
    assert wrong.report(2.0) is None
    assert wrong.report(1.0 + PERIOD) == Report("2001:db8::/64", 5, 6, 2)
    assert wrong.report(1000.0) is None


def test_those_beyond_the_table_are_reported_together() -> None:
    """Under a name of their own."""
    wrong = WrongTokens(capacity=1)
    wrong.take("192.0.2.1", 0.0)
    for number in range(3):
        wrong.take(f"198.51.100.{number}", 0.0)
    assert wrong.report(0.0) == Report(OTHERS, 3, 4, 2)
