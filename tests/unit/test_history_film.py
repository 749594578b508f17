"""Film: every decision of a reel is made again, to the last bit, from what changed."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random

import msgspec
from tests.unit.builders import POLICY, devices, guest, heard, settings, statistics
from tests.unit.history_world import Watched

from barostat import __version__
from barostat.core.observation import Depth, GuestObservation, Reservation, RunState
from barostat.core.policy import DemandPolicy, DemandSource, Policy
from barostat.core.statistics import Inside
from barostat.engine.loop import Tick
from barostat.errors import HistoryError
from barostat.history.film import LENGTH_BYTES, RAW, REEL_TICKS, Camera, Key, _frame
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


def within(second: int, *, silent: bool = False, by: Depth = Depth.AGENT) -> GuestObservation:
    seen = guest("deep", used=400 + second)
    if silent:
        return seen
    return heard(
        seen,
        by=by,
        at=1000.9 + second,
        committed_bytes=(700 + 3 * second) * MIB,
        stalled_us=12_345 * second,
        scanned_bytes=second * MIB,
    )


def test_what_is_said_from_within_is_kept_to_the_last_bit() -> None:
    host = Watched(policy=Policy(demand=DemandPolicy(source=DemandSource.COMMITTED)))
    seen = [
        *(within(second) for second in range(8)),
        within(8, silent=True),
        within(9, silent=True),
        within(10, by=Depth.QGA),
        within(10, by=Depth.QGA),
        within(11),
        replace(within(12), inside=Inside(at_s=1013.1, refaulted_bytes=5)),
    ]
    ticks = [host.look(guest("plain", used=300), deep) for deep in seen]

    assert len(filmed(ticks)) == 1
    assert_same(shown(ticks), ticks)


def test_words_from_within_take_little() -> None:
    plain, deep = Watched(), Watched()
    without = [plain.look(within(second, silent=True)) for second in range(REEL_TICKS)]
    with_words = [deep.look(within(second)) for second in range(REEL_TICKS)]

    more = sum(map(len, filmed(with_words)[0])) - sum(map(len, filmed(without)[0]))
    assert more < 30 * REEL_TICKS


def test_for_whom_was_decided_out_of_turn_is_kept() -> None:
    host = Watched()
    seen = guest("calm", used=940), guest("hurried", used=940)
    ticks = [
        host.look(*seen, hurried=["hurried"]),
        host.look(*seen),
        host.look(*seen, hurried=["calm", "hurried"]),
    ]

    assert len(filmed(ticks)) == 1
    assert_same(shown(ticks), ticks)


def as_the_version_before_wrote(ticks: list[Tick]) -> bytes:
    """A reel without any of the figures that came with what is said from within."""
    first = ticks[0]
    key = msgspec.to_builtins(Key("0.0", first.policy, first.state, first.snapshot))
    _, policy, state, snapshot = key
    del policy["demand"], snapshot["hurried"]
    for seen in snapshot["guests"]:
        del seen["inside"], seen["heard_by"]
    for remembered in state["guests"].values():
        for name in ("marks", "source", "inside", "stalls", "harmed_at_s", "tuning", "trim"):
            del remembered["demand"][name]
    frames = [
        msgspec.to_builtins(_frame(was.snapshot, tick.snapshot, carried_out=True))[:7]
        for was, tick in pairwise(ticks)
    ]
    stream = zlib.compressobj(wbits=RAW)
    encoded = [msgspec.msgpack.encode(content) for content in (key, *frames)]
    framed = b"".join(len(data).to_bytes(LENGTH_BYTES, "big") + data for data in encoded)
    return stream.compress(framed) + stream.flush()


def test_film_of_the_version_before_is_still_shown() -> None:
    host = Watched(capacity=2500)
    ticks = [host.look(guest("db", used=300 + 40 * second), guest()) for second in range(12)][3:]

    scenes = list(project(as_the_version_before_wrote(ticks)))

    assert [scene.snapshot for scene in scenes] == [tick.snapshot for tick in ticks]
    assert [scene.decision for scene in scenes] == [tick.decision for tick in ticks]
    assert scenes[0].policy == POLICY


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
