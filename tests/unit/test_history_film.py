"""Film: every decision of a reel is made again, to the last bit, from what changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from tests.unit.builders import devices, guest, settings, statistics
from tests.unit.history_world import Watched

from barostat import __version__
from barostat.core.observation import Reservation, RunState
from barostat.core.policy import Policy
from barostat.engine.loop import Tick
from barostat.errors import HistoryError
from barostat.history.film import REEL_TICKS, Camera
from barostat.history.projector import Scene, project
from barostat.units import MIB


def filmed(ticks: list[Tick]) -> list[list[bytes]]:
    """The reels that a camera makes of passes."""
    camera, reels = Camera(), list[list[bytes]]()
    for tick in ticks:
        picture = camera.take(tick)
        if picture.first:
            reels.append([])
        reels[-1].append(picture.data)
    return reels


def shown(ticks: list[Tick]) -> list[Scene]:
    return [scene for reel in filmed(ticks) for scene in project(b"".join(reel))]


def assert_same(scenes: list[Scene], ticks: list[Tick]) -> None:
    assert len(scenes) == len(ticks)
    for scene, tick in zip(scenes, ticks, strict=True):
        assert scene.snapshot == tick.snapshot
        assert scene.state == tick.state
        assert scene.policy == tick.policy
        assert scene.decision == tick.decision
        assert scene.version == __version__


def test_a_reel_shows_every_decision_exactly_as_it_was() -> None:
    host = Watched(capacity=2500)
    ticks = [
        host.look(
            guest("db", used=300 + 40 * second),
            guest("web", used=700, has=devices(plugged=2 * min(second, 20), requested=40)),
        )
        for second in range(30)
    ]

    assert len(filmed(ticks)) == 1
    assert any(tick.decision.moves for tick in ticks[1:])
    assert_same(shown(ticks), ticks)


def test_decisions_that_were_only_looked_at_follow_each_other_too() -> None:
    host = Watched()
    ticks = [
        host.look(guest(used=300 + 60 * second), carried_out=second % 3 == 0)
        for second in range(12)
    ]

    assert len(filmed(ticks)) == 1
    assert_same(shown(ticks), ticks)


def test_a_reel_ends_after_a_minute() -> None:
    ticks = list(Watched().look_often(REEL_TICKS + 1))

    assert [len(reel) for reel in filmed(ticks)] == [REEL_TICKS, 1]
    assert_same(shown(ticks), ticks)


def test_what_changes_seldom_cuts_the_reel() -> None:
    host = Watched()
    ticks = [host.look(guest("db"))]
    ticks.append(host.look(guest("db"), guest("web")))
    ticks.append(host.look(guest("db"), guest("web2")))
    host.settings["db"] = settings(minimum=512)
    ticks.append(host.look(guest("db"), guest("web2")))
    host.policy = Policy(stale_s=7.0)
    ticks.append(host.look(guest("db"), guest("web2")))
    host.reservations = (Reservation(guest="new", size_bytes=512 * MIB),)
    ticks.append(host.look(guest("db"), guest("web2")))

    assert [len(reel) for reel in filmed(ticks)] == [1] * 6
    assert_same(shown(ticks), ticks)


def test_a_decision_that_does_not_follow_the_last_one_begins_a_reel() -> None:
    host = Watched()
    ticks = list(host.look_often(3))
    host.state = replace(host.state, tight=True)
    ticks += host.look_often(3)

    assert [len(reel) for reel in filmed(ticks)] == [3, 3]
    assert_same(shown(ticks), ticks)


def looks_with_ages(ages: Iterator[float]) -> list[Tick]:
    host, names = Watched(), [f"vm{number}" for number in range(20)]
    return [
        host.look(*(guest(name) for name in names), ages_s=[next(ages) for _ in names])
        for _ in range(10)
    ]


def test_times_are_kept_to_the_last_bit_and_whole_milliseconds_take_less() -> None:
    chance = Random(1)
    rough = looks_with_ages(iter(lambda: chance.uniform(0, 0.05), None))
    whole = looks_with_ages(iter(lambda: chance.randint(0, 50) / 1000, None))

    assert_same(shown(rough), rough)
    assert_same(shown(whole), whole)
    assert sum(map(len, filmed(whole)[0][1:])) < sum(map(len, filmed(rough)[0][1:])) / 2


def test_a_guest_that_falls_silent_boots_or_is_resized_is_kept_whole() -> None:
    host = Watched()
    has, silent = devices(), guest(run_state=RunState.BOOTING)
    ticks = [
        host.look(guest(used=400)),
        host.look(replace(silent, statistics=None)),
        host.look(replace(silent, statistics=None)),
        host.look(guest(used=300, disturbed=900.0)),
        host.look(guest(says=statistics(has, 300, disk_caches_bytes=5 * MIB, oom_kills=1))),
        host.look(guest(says=statistics(has, 310, disk_caches_bytes=6 * MIB, oom_kills=1))),
        host.look(guest(says=statistics(has, 310, disk_caches_bytes=None, oom_kills=2))),
        host.look(guest(used=310, has=devices(balloon=100)), granting=False),
    ]

    assert len(filmed(ticks)) == 1
    assert_same(shown(ticks), ticks)


def test_film_that_breaks_off_shows_what_is_whole() -> None:
    ticks = list(Watched().look_often(5))
    reel = b"".join(filmed(ticks)[0])

    for length in range(0, len(reel), 7):
        scenes = list(project(reel[:length]))
        assert_same(scenes, ticks[: len(scenes)])


def test_damaged_film_is_an_error_and_never_a_traceback() -> None:
    whole = b"".join(filmed(list(Watched().look_often(5)))[0])
    errors = []

    for place in range(0, len(whole), 7):
        reel = bytearray(whole)
        reel[place] ^= 0xFF
        try:
            list(project(bytes(reel)))
        except HistoryError as error:
            errors.append(error)

    assert errors
    assert all("damaged" in error.hint for error in errors)
