"""Recent: what the tables said is remembered for seconds, and what is over its time takes no room."""

import pytest

from trackly.parties import AGAIN, Recent


@pytest.fixture
def clock() -> list[float]:
    return [1_000.0]


def remember(recent: Recent[str], *keys: str) -> None:
    for key in keys:
        recent.get(key, lambda: "value")


def test_value_is_remembered_for_its_seconds(clock: list[float]) -> None:
    recent: Recent[float] = Recent(timer=lambda: clock[0])
    heard = []
    for moment in (1_000, 1_004.9, 1_005, 1_009.9):
        clock[0] = moment
        heard.append(recent.get("key", lambda: clock[0]))
    assert heard == [1_000, 1_000, 1_005, 1_005]


def test_what_is_over_its_time_is_dropped_when_something_is_added(clock: list[float]) -> None:
    recent: Recent[str] = Recent(timer=lambda: clock[0])
    remember(recent, "a", "b")
    clock[0] += 3
    remember(recent, "c")
    clock[0] += 2
    assert len(recent._values) == 3
    remember(recent, "d")
    assert list(recent._values) == ["c", "d"]


def test_no_more_than_the_size_is_remembered_and_the_oldest_go_first(clock: list[float]) -> None:
    recent: Recent[str] = Recent(size=2, timer=lambda: clock[0])
    remember(recent, "a", "b", "c")
    assert list(recent._values) == ["b", "c"]


def test_what_changed_a_moment_ago_is_known_before_anybody_is_refused_for_it(clock: list[float]) -> None:
    recent: Recent[str] = Recent(timer=lambda: clock[0])
    remember(recent, "a")
    clock[0] += 0.01
    assert recent.again("a", lambda: "newer") == "newer"
    assert recent.get("a", lambda: "newest") == "newer"


def test_a_flood_of_refusals_costs_no_query_each(clock: list[float]) -> None:
    recent: Recent[int] = Recent(timer=lambda: clock[0])
    loads = []
    for _ in range(1_000):
        recent.again("a", lambda: loads.append(1) or len(loads))
    assert len(loads) == AGAIN
    clock[0] += 1
    assert recent.again("a", lambda: 0) == 0


def test_value_asked_for_again_is_no_older_than_a_second_and_becomes_the_youngest(clock: list[float]) -> None:
    recent: Recent[str] = Recent(size=2, timer=lambda: clock[0])
    remember(recent, "a", "b")
    clock[0] += 1
    assert recent.again("a", lambda: "newer") == "newer"
    remember(recent, "c")
    assert list(recent._values) == ["a", "c"]
