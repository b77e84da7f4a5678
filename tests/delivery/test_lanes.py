"""The scheduler: turns, limits and breakers decide who is served next. Pure."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookhub.contracts.deliveries import Claim, Endpoint
from hookhub.contracts.events import Event
from hookhub.delivery.breaker import Breaker
from hookhub.delivery.lanes import AHEAD_LEAST, Lane, Scheduler
from hookhub.delivery.limits import RateLimit, Window


def lane(scheduler: Scheduler, number: int, *, limit: int = 20, rate: float | None = None) -> Lane:
    endpoint = Endpoint(
        number, "webhook", f"e{number}", None, ("*",), {}, True, None, 0, 0, None, 0, 0, ()
    )
    made = Lane(endpoint, Window(limit), RateLimit(rate), Breaker(threshold=3, open_first=5))
    scheduler.lanes[number] = made
    return made


def claim(number: int, endpoint: int = 1) -> Claim:
    event = Event(number, f"e{number}", "user.created", "{}", 0)
    return Claim(number, endpoint, 0, 0, 1, 10**15, event)


def fill(scheduler: Scheduler, to: Lane, count: int) -> None:
    for number in range(count):
        scheduler.add(to, claim(number, to.endpoint.id))


def drain(scheduler: Scheduler, now: float = 0.0) -> list[int]:
    """The endpoints served now, in order."""
    served = []
    while (found := scheduler.next(now)) is not None:
        served.append(found[0].endpoint.id)
    return served


def test_lanes_take_turns() -> None:
    """A long queue does not stand before a short one."""
    scheduler = Scheduler(100)
    one, two = lane(scheduler, 1), lane(scheduler, 2)
    fill(scheduler, one, 10)
    fill(scheduler, two, 2)
    assert drain(scheduler) == [1, 2, 1, 2]
    assert (one.in_flight, scheduler.in_flight, scheduler.queued) == (2, 4, 8)


def test_a_lane_that_fails_keeps_one_attempt_at_a_time() -> None:
    """And one that delivers grows to its limit."""
    scheduler = Scheduler(100)
    good, bad = lane(scheduler, 1, limit=4), lane(scheduler, 2)
    for _ in range(6):
        fill(scheduler, good, 4)
        fill(scheduler, bad, 1)
        served = Counter(drain(scheduler))
        for endpoint, count in served.items():
            for _ in range(count):
                scheduler.finished(scheduler.lanes[endpoint], 0.0, endpoint == 1)
    fill(scheduler, good, 10)
    assert Counter(drain(scheduler))[1] == 4


def test_concurrency_in_all_is_bounded() -> None:
    """And goes on with whoever waits as soon as there is room."""
    scheduler = Scheduler(3)
    for number in range(1, 6):
        fill(scheduler, lane(scheduler, number), 1)
    assert drain(scheduler) == [1, 2, 3]
    scheduler.finished(scheduler.lanes[1], 0.0, True)
    assert drain(scheduler) == [4]


def test_the_rate_limit_makes_a_lane_wait_and_come_back() -> None:
    """When its time has come, without anybody asking."""
    scheduler = Scheduler(100)
    fill(scheduler, lane(scheduler, 1, rate=1.0), 2)
    assert drain(scheduler) == [1]
    assert scheduler.sleep(0.0, 0, 60) == pytest.approx(1.0)
    scheduler.tick(1.0, 0)
    assert drain(scheduler, 1.0) == [1]


def test_an_open_breaker_lets_nothing_through_and_then_one() -> None:
    """Whatever the store holds: nothing is claimed while it is open."""
    scheduler = Scheduler(100)
    bad = lane(scheduler, 1)
    for number in range(3):
        fill(scheduler, bad, 1)
        assert drain(scheduler) == [1]
        assert scheduler.finished(bad, 0.0, False) == (number == 2)
    scheduler.set_due(bad, 0)
    assert scheduler.wanted(1.0, 10) == []
    assert not scheduler.takes(1, 0, 10)
    assert scheduler.sleep(1.0, 10, 60) == 4.0
    assert scheduler.wanted(5.0, 10) == [(bad, 1)]
    fill(scheduler, bad, 2)
    assert drain(scheduler, 5.0) == [1]
    scheduler.finished(bad, 5.0, True)
    assert drain(scheduler, 5.0) == [1]
    assert scheduler.takes(1, 0, 10) is False  # something older waits in the store
    scheduler.set_due(bad, None)
    assert scheduler.takes(1, 0, 10)


def test_what_is_due_is_wanted_when_there_is_room() -> None:
    """A lane is fed when it runs low, not before its time."""
    scheduler = Scheduler(100)
    one = lane(scheduler, 1)
    scheduler.set_due(one, 5_000_000)
    assert scheduler.wanted(0.0, 0) == []
    assert scheduler.sleep(0.0, 0, 60) == 5.0
    assert scheduler.wanted(0.0, 5_000_000) == [(one, 4)]
    assert scheduler.wanted(0.0, 5_000_000) == []
    fill(scheduler, one, 4)
    scheduler.set_due(one, 5_000_000)
    assert drain(scheduler) == [1, 1]
    assert scheduler.wanted(0.0, 5_000_000) == []
    scheduler.finished(one, 0.0, True)
    assert scheduler.wanted(0.0, 5_000_000) == [(one, 4)]


def serve(scheduler: Scheduler, store: int, rounds: int) -> list[int]:
    """Let attempts end well one at a time, the store always having more; the sizes of claims."""
    claims = []
    for _ in range(rounds):
        for to, count in scheduler.wanted(0.0, 10):
            fill(scheduler, to, count)
            claims.append(count)
            scheduler.set_due(to, store)
        for endpoint in drain(scheduler):
            scheduler.finished(scheduler.lanes[endpoint], 0.0, True)
    return claims


def test_a_busy_lane_is_filled_up_when_half_is_used() -> None:
    """Few claims of many rather than many of few, though its window grows all the while."""
    scheduler = Scheduler(1)
    one = lane(scheduler, 1)
    scheduler.set_due(one, 0)
    claims = serve(scheduler, 0, 200)
    assert len(claims) <= 200 / 8
    assert sum(claims) <= 200 + 2 * 20
    assert max(claims) <= 2 * 20


def test_many_lanes_share_what_is_claimed_ahead() -> None:
    """However wide their windows are, what is held is a few times what may be in flight."""
    scheduler = Scheduler(10)
    for number in range(1, 101):
        scheduler.set_due(lane(scheduler, number), 0)
    serve(scheduler, 0, 500)
    assert 100 * 20 * 2 > 100 * AHEAD_LEAST >= scheduler.queued > 100


def test_hand_over_is_for_lanes_with_nothing_older_waiting() -> None:
    """Order is kept, room is respected, and closed lanes take nothing."""
    scheduler = Scheduler(100)
    one = lane(scheduler, 1)
    assert [scheduler.takes(1, more, 100) for more in (0, 3, 4)] == [True, True, False]
    scheduler.set_due(one, 50)
    assert not scheduler.takes(1, 0, 100)
    scheduler.set_due(one, 200)
    assert scheduler.takes(1, 0, 100)
    one.closed = True
    assert not scheduler.takes(1, 0, 100)
    assert not scheduler.takes(99, 0, 100)


def test_what_is_told_during_a_claim_is_not_forgotten() -> None:
    """It may have been committed after the claim, in the same transaction."""
    scheduler = Scheduler(100)
    one = lane(scheduler, 1)
    scheduler.set_due(one, 0)
    assert scheduler.wanted(0.0, 5) == [(one, 4)]
    scheduler.due_by(one, 5)
    scheduler.claimed(one, None)
    assert scheduler.wanted(0.0, 5) == [(one, 4)]
    scheduler.claimed(one, None)
    assert scheduler.wanted(0.0, 5) == []


def test_a_look_into_the_store_feeds_whoever_was_forgotten() -> None:
    """A lane whose queue was dropped, all slots being taken by others, is woken by nothing else."""
    scheduler = Scheduler(1)
    one, two = lane(scheduler, 1), lane(scheduler, 2)
    fill(scheduler, two, 1)
    assert drain(scheduler) == [2]
    fill(scheduler, one, 4)
    scheduler.set_due(one, 5)
    assert scheduler.wanted(0.0, 5) == []
    scheduler.drop_queue(one)
    scheduler.found_due(one, 5, 0.0, 5)
    assert scheduler.wanted(0.0, 5) == [(one, 4)]


def test_memory_held_by_some_lanes_starves_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has nothing and could begin at once gets one at a time."""
    monkeypatch.setattr("hookhub.delivery.lanes.QUEUE_BYTES", 6)
    scheduler = Scheduler(4)
    hanging, healthy = lane(scheduler, 1), lane(scheduler, 2)
    fill(scheduler, hanging, 5)
    assert drain(scheduler) == [1, 1]
    for to in (hanging, healthy):
        scheduler.set_due(to, 0)
    for _ in range(2):
        assert scheduler.wanted(0.0, 1) == [(healthy, 1)]
        fill(scheduler, healthy, 1)
        scheduler.claimed(healthy, 0)
        assert drain(scheduler) == [2]
    assert scheduler.wanted(0.0, 1) == []
    assert scheduler.sleep(0.0, 1, 60) == 60


def test_a_dropped_queue_is_counted_out() -> None:
    """Bytes and numbers are right again."""
    scheduler = Scheduler(100)
    one = lane(scheduler, 1)
    fill(scheduler, one, 3)
    assert (scheduler.queued, scheduler.queued_bytes) == (3, 6)
    assert len(scheduler.drop_queue(one)) == 3
    assert (scheduler.queued, scheduler.queued_bytes) == (0, 0)
    assert drain(scheduler) == []


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(["add", "ok", "fail", "cancel", "due"])),
        max_size=200,
    ),
    st.integers(1, 8),
)
def test_nothing_is_stranded(steps: list[tuple[int, str]], concurrency: int) -> None:
    """Whatever happens: as time goes on, every claimed delivery is served, within the limits."""
    scheduler = Scheduler(concurrency)
    lanes = {number: lane(scheduler, number, limit=3) for number in range(1, 6)}
    flying: list[Lane] = []
    now = 0.0
    added = served = 0
    for number, what in steps:
        if what == "add":
            scheduler.add(lanes[number], claim(added, number))
            added += 1
        elif what == "due":
            scheduler.set_due(lanes[number], 0)
        elif flying:
            result = {"ok": True, "fail": False, "cancel": None}[what]
            scheduler.finished(flying.pop(), now, result)
        while (found := scheduler.next(now)) is not None:
            served += 1
            flying.append(found[0])
        assert scheduler.in_flight == len(flying) <= concurrency
        assert all(item.in_flight <= 3 for item in lanes.values())
        now += 0.1
    while served < added:
        while flying:
            scheduler.finished(flying.pop(), now, True)
        now += 400.0
        scheduler.tick(now, 1)
        before = served
        while (found := scheduler.next(now)) is not None:
            served += 1
            flying.append(found[0])
        assert served > before
