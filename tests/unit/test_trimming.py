"""Taking a little from a guest that does not notice."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.unit.builders import (
    KERNEL_MIB,
    Host,
    codes,
    devices,
    guest,
    heard,
    of,
    settings,
    statistics,
)

from barostat.core.decide import Decision
from barostat.core.explain import sentence
from barostat.core.moves import MoveKind
from barostat.core.observation import Depth, GuestObservation
from barostat.core.policy import DemandPolicy, Policy
from barostat.core.reasons import ReasonCode
from barostat.core.trimming import Trim, step_bytes
from barostat.units import MIB

TRIMMING = Policy(demand=DemandPolicy(trim=True))


@dataclass
class Trimmed:
    """A guest of 1024 MiB with an agent, looked at once a second; it gives what it is asked."""

    policy: Policy = TRIMMING
    minimum: int = 128
    used: int = 800
    cold: int = 300
    has: int = 900
    now: int = 100
    stalled_us: int = 0
    by: Depth = Depth.AGENT
    deflate: bool = True
    outside: int = 0
    swapped_in: int = 0
    swapped_out: int = 0
    decisions: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        """The host has plenty."""
        self.host = Host(policy=self.policy, settings={"web": settings(self.minimum)})

    def page(self) -> None:
        """Have what does not fit leave; what is not cold comes back again and again."""
        outside = max(self.outside, self.used - (self.has - KERNEL_MIB))
        thrashed = 20 if outside > self.cold else 0
        self.swapped_out += outside - self.outside + thrashed
        self.swapped_in += thrashed
        self.stalled_us += 50_000 if thrashed else 0
        self.outside = outside

    def look(self) -> GuestObservation:
        self.page()
        has = devices(balloon=1024 - self.has, deflate=self.deflate, region=0)
        says = statistics(
            has,
            self.used - self.outside,
            swap_in_bytes=self.swapped_in * MIB,
            swap_out_bytes=self.swapped_out * MIB,
        )
        seen = guest(says=says, at=self.now, has=has)
        return heard(
            seen, by=self.by, stalled_us=self.stalled_us, scanned_bytes=self.stalled_us * 4096
        )

    def live(self, seconds: int, *, stalls_ms: float = 0) -> list[int]:
        """Live for a while; say its size after each second."""
        sizes = []
        for _ in range(seconds):
            decision = self.host.tick(self.look(), at=self.now)
            self.decisions.append(decision)
            for move in decision.moves:
                self.has = move.to_bytes // MIB
            sizes.append(self.has)
            self.now += 1
            self.stalled_us += int(stalls_ms * 1000)
        return sizes

    @property
    def last(self) -> Decision:
        return self.decisions[-1]


def test_nobody_is_trimmed_unless_told_to() -> None:
    web = Trimmed(policy=Policy())

    assert min(web.live(200)) >= 900


def test_a_calm_guest_is_trimmed_below_what_it_uses_a_little_at_a_time() -> None:
    web = Trimmed()
    web.live(125)
    before = web.has

    sizes = web.live(120)

    steps = [a - b for a, b in zip([before, *sizes], sizes, strict=False) if a != b]
    assert sizes[-1] < before
    assert sizes[-1] < 800
    assert all(0 < step <= 0.01 * before + 2 for step in steps), "a hundredth at a time"
    assert len(steps) <= 120 / 6 + 1, "every six seconds"


def test_a_trimmed_guest_is_told_why_and_is_not_grown_again() -> None:
    web = Trimmed()
    web.live(200)
    moves = [move for decision in web.decisions[100:] for move in decision.moves]

    assert {move.kind for move in moves} == {MoveKind.SHRINK}
    assert {reason.code for move in moves for reason in move.reasons} == {ReasonCode.TRIMMED}
    assert "hardly waits for memory, 0 % of the time" in sentence(moves[0].reasons[0])
    held = [codes(decision) for decision in web.decisions[130:] if not decision.moves]
    assert [ReasonCode.CALM] in held


def test_pressure_and_status_of_a_trimmed_guest_are_of_what_it_really_needs() -> None:
    web = Trimmed()
    web.live(200)

    decided = of(web.last)
    assert decided.demand_bytes is not None
    assert decided.demand_bytes > decided.target_bytes * 0.98
    assert decided.status.value in {"Low", "Warning"}


def test_a_guest_that_waits_is_given_what_it_should_have_and_left_alone_for_a_minute() -> None:
    web = Trimmed()
    web.live(200)
    trimmed_to = web.has

    web.live(2, stalls_ms=5)

    assert web.has > trimmed_to
    assert min(web.live(58)) > trimmed_to


def test_the_size_at_which_it_began_to_wait_is_kept_clear_of_and_slowly_forgotten() -> None:
    web = Trimmed()
    web.live(200)
    began = web.has
    web.live(2, stalls_ms=5)

    assert began * 0.98 <= min(web.live(900)) < 900
    demand = web.host.state.guests["web"].demand
    assert demand is not None
    assert demand.trim is not None
    kept = demand.trim
    later_s = kept.kept_at_s + TRIMMING.demand.trim_half_life_s
    step = step_bytes(
        kept, demand.stalls, demand.sizes, minimum_bytes=0, at_s=later_s, policy=TRIMMING
    )
    assert step > 0


def test_a_guest_that_waits_a_little_is_not_trimmed_on() -> None:
    web = Trimmed()
    web.live(130)
    trimmed_to = web.has

    assert set(web.live(30, stalls_ms=1.2)[2:]) == {trimmed_to}, "0.12 % is no harm, and not calm"


def test_a_guest_that_needs_more_has_it_at_once() -> None:
    web = Trimmed(used=500, has=620, cold=20)
    web.live(130)
    trimmed_to = web.has
    web.used = 700

    web.live(3)

    assert trimmed_to < 620
    assert web.has > 700 + KERNEL_MIB


def test_a_guest_is_not_in_distress_because_what_is_cold_leaves_it() -> None:
    web = Trimmed()
    web.live(300)

    assert web.outside > 100
    assert ReasonCode.DISTRESS not in {
        reason.code for decision in web.decisions for reason in of(decision).reasons
    }


def test_trimming_ends_by_itself_where_the_guest_begins_to_wait() -> None:
    web = Trimmed(cold=50)

    sizes = web.live(600)

    assert min(sizes) > 800 + KERNEL_MIB - 50 - 20
    assert sizes[-1] > min(sizes)


def test_nobody_is_trimmed_below_the_minimum() -> None:
    web = Trimmed(minimum=880)

    assert min(web.live(300)) >= 880


def test_a_guest_whose_agent_fell_silent_gets_what_it_should_have() -> None:
    web = Trimmed()
    web.live(200)
    trimmed_to = web.has
    web.by = Depth.QGA

    web.live(2)

    assert web.has > trimmed_to


def test_a_guest_whose_balloon_does_not_give_way_is_only_trimmed_of_what_is_available() -> None:
    web = Trimmed(used=600, has=800, deflate=False)
    sizes = web.live(400)

    floor = TRIMMING.wide_floor_ratio * sizes[-1]
    assert sizes[-1] < 740
    assert sizes[-1] - KERNEL_MIB - 600 >= floor * 0.8
    assert codes(web.last) == [ReasonCode.CALM]


def test_idle_memory_is_still_taken_back_at_its_own_pace() -> None:
    web = Trimmed(used=200, has=1024)
    web.live(100)

    assert ReasonCode.TRICKLE in {
        reason.code
        for decision in web.decisions
        for move in decision.moves
        for reason in move.reasons
    }


def test_where_nobody_says_how_long_it_waits_no_step_is_taken() -> None:
    web = Trimmed()
    web.live(1)
    demand = web.host.state.guests["web"].demand
    assert demand is not None

    step = step_bytes(Trim(0, 0), None, demand.sizes, minimum_bytes=0, at_s=1e6, policy=TRIMMING)

    assert step == 0


def test_while_others_wait_a_trimmed_guest_gives_no_faster_than_its_share_says() -> None:
    web = Trimmed()
    web.live(200)
    demand = of(web.last).demand_bytes or 0

    assert of(web.last).target_bytes <= demand
    assert of(web.last).want_bytes <= web.has * MIB
