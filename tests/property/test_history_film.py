"""Whatever guests do, film of it shows the same decisions again."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.property.world import Guest

from barostat.core.decide import State, decide, unmoved
from barostat.core.observation import (
    Depth,
    GuestObservation,
    HostObservation,
    RunState,
    Snapshot,
)
from barostat.core.policy import DemandPolicy, DemandSource, Policy
from barostat.core.settings import MemorySettings
from barostat.core.statistics import Inside
from barostat.engine.loop import Tick
from barostat.history.film import INSIDE_FIGURES, Camera
from barostat.history.projector import project
from barostat.units import MIB

POLICY = Policy()
DEEP = Policy(demand=DemandPolicy(source=DemandSource.COMMITTED, adaptive=True, trim=True))
HURRIED = [frozenset[str](), frozenset[str](), frozenset({"a"}), frozenset({"b", "c"})]
LIMITS = MemorySettings(startup_bytes=512 * MIB, minimum_bytes=128 * MIB, maximum_bytes=1400 * MIB)


@st.composite
def nights(draw: st.DrawFn) -> list[Tick]:
    """Some guests that do this and that, are looked at, and mostly get what was decided."""
    guests = [
        Guest(
            name=name,
            boot_bytes=512 * MIB,
            region_bytes=1024 * MIB,
            deflate_on_oom=draw(st.booleans()),
            used_bytes=300 * MIB,
            disturbed_at_s=0.0,
        )
        for name in ("a", "b", "c")
    ]
    now_s, state, ticks = 1000.0, State(), list[Tick]()
    policy = draw(st.sampled_from([POLICY, DEEP]))
    for _ in range(draw(st.integers(2, 12))):
        now_s += draw(st.floats(0.5, 2.0))
        for guest in guests:
            _happen(draw, guest, now_s)
        snapshot = Snapshot(
            now_s=now_s,
            host=HostObservation(
                capacity_bytes=draw(st.integers(1000, 4000)) * MIB, granting=draw(st.booleans())
            ),
            guests=tuple(_within(draw, guest.look(now_s)) for guest in guests),
            settings={guest.name: LIMITS for guest in guests},
            hurried=draw(st.sampled_from(HURRIED)),
        )
        decision = decide(snapshot, state, policy)
        ticks.append(
            Tick(
                snapshot=snapshot,
                state=state,
                policy=policy,
                decision=decision,
                observe_s=0.0,
                decide_s=0.0,
            )
        )
        carried_out = draw(st.booleans())
        state = decision.state if carried_out else unmoved(decision)
        for move in decision.moves if carried_out else ():
            next(guest for guest in guests if guest.name == move.guest).pending = move
    return ticks


def _within(draw: st.DrawFn, seen: GuestObservation) -> GuestObservation:
    """Have a program in the guest say something, or nothing."""
    if not draw(st.booleans()):
        return seen
    said = {name: draw(st.none() | st.integers(0, 2**50)) for name in INSIDE_FIGURES}
    inside = Inside(at_s=seen.statistics_at_s - draw(st.sampled_from([0.0, 0.25])), **said)
    return replace(seen, inside=inside, heard_by=draw(st.sampled_from([Depth.QGA, Depth.AGENT])))


def _happen(draw: st.DrawFn, guest: Guest, now_s: float) -> None:
    match draw(st.sampled_from(["use", "obey", "mute", "pause", "run", "reset", "nothing"])):
        case "use":
            guest.use(draw(st.integers(64, 1500)) * MIB)
        case "obey":
            guest.hear()
            guest.obey(draw(st.sampled_from([0.3, 1.0])))
        case "mute":
            guest.mute = not guest.mute
        case "pause":
            guest.enter(RunState.PAUSED, now_s)
        case "run":
            guest.enter(RunState.RUNNING, now_s)
        case "reset":
            guest.reset(now_s)


@given(nights())
def test_what_was_decided_is_decided_again(ticks: list[Tick]) -> None:
    camera, reels = Camera(), list[bytes]()
    for tick in ticks:
        picture = camera.take(tick)
        reels = [*reels, picture.data] if picture.first else [*reels[:-1], reels[-1] + picture.data]

    scenes = [scene for reel in reels for scene in project(reel)]

    assert [scene.snapshot for scene in scenes] == [tick.snapshot for tick in ticks]
    assert [scene.state for scene in scenes] == [tick.state for tick in ticks]
    assert [scene.decision for scene in scenes] == [tick.decision for tick in ticks]
