"""Signals: told to those who ask, made for nobody else, and never in the way."""

from __future__ import annotations

import json

import pytest

from hookhub.contracts.sinks import Signal
from hookhub.feed import SignalBox, Signals, needs_scope
from hookhub.feed.signals import BOX
from hookhub.filters import compile_filter


def send(signals: Signals, count: int = 1, type: str = "delivery.attempted") -> None:
    for number in range(count):
        signals.send(type, {"number": number}, 1_700_000_000_000_000)


def test_a_frame_for_all() -> None:
    """Its members are those of an event, without a place in the history."""
    signals, heard = Signals(), []
    signals.add(heard.append)
    send(signals)
    [signal] = heard
    assert isinstance(signal, Signal)
    assert json.loads(signal.frame) == {
        "type": "delivery.attempted",
        "payload": {"number": 0},
        "timestamp": "2023-11-14T22:13:20.000000Z",
        "ephemeral": True,
    }


def test_one_who_fails_disturbs_nobody() -> None:
    """It is logged, and the others are told."""

    def broken(signal: Signal) -> None:
        raise RuntimeError("a bug")

    signals, heard = Signals(), []
    signals.add(broken)
    signals.add(heard.append)
    send(signals)
    assert len(heard) == 1


@pytest.mark.parametrize(
    ("patterns", "asks"),
    [
        (["*"], False),
        (["user.*", "delivery"], False),
        (["delivery.*"], True),
        (["user.*", "delivery.retry_scheduled"], True),
        (["delivery.failed"], False),
        (["delivery.shipped"], False),
    ],
)
def test_which_patterns_need_the_scope(patterns: list[str], asks: bool) -> None:
    """Those that take in what only signals tell."""
    assert needs_scope(patterns) is asks


def test_only_the_family_asks() -> None:
    """``*`` means events, also beside a condition."""
    signals = Signals()
    box = SignalBox(signals, lambda: None)
    box.choose({"*": None, "user.*": compile_filter({"number": 1})})
    assert not signals.wanted
    box.choose({"*": None, "delivery.*": compile_filter({"number": 1})})
    send(signals, 3)
    taken, dropped = box.take(10)
    assert ([item.payload for item in taken], dropped) == ([{"number": 1}], 0)
    box.choose({"*": None})
    assert not signals.wanted


def test_a_box_is_bounded() -> None:
    """What finds it full is counted, and told once after what is in it."""
    signals, woken = Signals(), []
    with SignalBox(signals, lambda: woken.append(1)) as box:
        box.choose({"delivery.attempted": None})
        send(signals, BOX + 7)
        assert len(woken) == BOX
        taken, dropped = box.take(BOX - 1)
        assert (len(taken), dropped) == (BOX - 1, 0)
        taken, dropped = box.take(10)
        assert (len(taken), dropped) == (1, 7)
        assert box.take(10) == ([], 0)
    assert not signals.wanted
    assert signals.statistics()["signals_dropped_total"] == 7
