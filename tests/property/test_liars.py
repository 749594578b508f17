"""What a guest ends with by lying, against what it ends with by telling the truth.

Whole runs of `decide` over guests that obey at once: only what one of them says is different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.builders import KERNEL_MIB, POLICY, devices, guest, heard
from tests.unit.builders import settings as set_to

from barostat.core.allocation import Claim, Mode, allocate
from barostat.core.decide import State, decide
from barostat.core.observation import Depth, GuestObservation, HostObservation, Snapshot
from barostat.core.settings import MemorySettings
from barostat.core.statistics import Statistics
from barostat.units import MIB

TICKS = 90
LAST_TICKS = 30
"""What a guest ends with is its mean over these: some lies are answered anew at every tick."""

THRASHED_BYTES = 32 * MIB

Lie = Callable[[GuestObservation, int], GuestObservation]
"""Takes what is true and the number of the tick, and gives what is said."""


def truth(seen: GuestObservation, _: int) -> GuestObservation:
    return seen


@dataclass
class Tenant:
    """One guest: what it uses, and what it has. Sizes in MiB; its maximum is its boot RAM."""

    name: str
    boot: int
    uses: int
    weight: int = 5000
    minimum: int = 128
    swapped_bytes: int = 0
    sizes: list[int] = field(default_factory=list)

    @property
    def has(self) -> int:
        return self.sizes[-1] if self.sizes else self.boot

    @property
    def need(self) -> int:
        return self.uses + KERNEL_MIB

    @property
    def settings(self) -> MemorySettings:
        return set_to(self.minimum, self.boot, startup=self.boot, weight=self.weight)

    @property
    def ends_with(self) -> float:
        """What it has at the end, as far as it is of any use to it."""
        return min(self.need, sum(self.sizes[-LAST_TICKS:]) / LAST_TICKS)

    def look(self, now_s: float) -> GuestObservation:
        """See it; while it has less than it needs it pages."""
        memory = devices(self.boot, balloon=self.boot - self.has, region=0)
        if self.has < self.need:
            self.swapped_bytes += THRASHED_BYTES
        seen = guest(self.name, used=self.uses, has=memory, at=now_s)
        assert seen.statistics is not None
        said = replace(
            seen.statistics,
            swap_in_bytes=self.swapped_bytes,
            swap_out_bytes=self.swapped_bytes + max(0, self.need - self.has) * MIB,
        )
        return replace(seen, statistics=said)


def play(
    tenants: Sequence[Tenant],
    capacity: int,
    mode: Mode,
    lie: Lie = truth,
    in_use: Mapping[str, int] | None = None,
) -> float:
    """Have the first tenant lie for a while; say what it ends with."""
    for tenant in tenants:  # a host on which all of them boot, then all share
        tenant.sizes, tenant.swapped_bytes = [], 0
    start = capacity // len(tenants)
    for tenant in tenants:
        tenant.sizes.append(max(tenant.minimum, min(tenant.boot, start)))
    policy, state = replace(POLICY, mode=mode), State()
    host = HostObservation(capacity_bytes=capacity * MIB, in_use=in_use or {})
    for tick in range(TICKS):
        now_s = 1000.0 + tick
        seen = [tenant.look(now_s) for tenant in tenants]
        seen[0] = lie(seen[0], tick)
        snapshot = Snapshot(
            now_s=now_s,
            host=host,
            guests=tuple(seen),
            settings={tenant.name: tenant.settings for tenant in tenants},
        )
        decision = decide(snapshot, state, policy)
        state = decision.state
        moves = {move.guest: move.to_bytes // MIB for move in decision.moves}
        for tenant in tenants:
            tenant.sizes.append(moves.get(tenant.name, tenant.has))
    return tenants[0].ends_with


many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def companies(draw: st.DrawFn) -> tuple[list[Tenant], int]:
    """Two to five tenants on a host that is too small for them, or just large enough."""
    tenants = []
    for number in range(draw(st.integers(2, 5))):
        boot = draw(st.sampled_from((512, 1024, 2048)))
        tenants.append(
            Tenant(
                name=f"g{number}",
                boot=boot,
                uses=draw(st.integers(100, boot - KERNEL_MIB)),
                weight=draw(st.sampled_from((100, 2500, 5000, 10_000))),
            )
        )
    needed = sum(tenant.need for tenant in tenants)
    least = sum(tenant.minimum for tenant in tenants) + 64
    share = draw(st.integers(50, 130))
    return tenants, max(least, needed * share // 100)


@st.composite
def lies(draw: st.DrawFn) -> Lie:
    """A guest that says what could be of another guest: as much, growing, paging, waiting."""
    claims = draw(st.sampled_from(("little", "all", "constant", "growing", "changing", "true")))
    pages, waits = draw(st.booleans()), draw(st.booleans())
    share, seed = draw(st.floats(0, 1)), draw(st.integers(0, 2**16))

    def lie(seen: GuestObservation, tick: int) -> GuestObservation:
        honest = seen.statistics
        assert honest is not None
        ratio = {
            "little": 0.05,
            "all": 1.0,
            "constant": share,
            "growing": min(1.0, share * tick / LAST_TICKS),
            "changing": Random(seed + tick).random(),
        }.get(claims)
        free = honest.available_bytes
        if ratio is not None:
            free = int(seen.devices.balloon_actual_bytes * (1 - ratio))
        moved = tick * 64 * MIB if pages else honest.swap_in_bytes
        said = Statistics(
            total_bytes=honest.total_bytes,
            available_bytes=min(free, honest.total_bytes),
            swap_in_bytes=moved,
            swap_out_bytes=moved + (256 * MIB if pages else 0),
            major_faults=tick * 10_000 if pages else 0,
        )
        spoken = replace(seen, statistics=said)
        if not waits:
            return spoken
        return heard(
            spoken,
            by=Depth.AGENT,
            committed_bytes=int(2**40 * share),
            stalled_us=tick * 900_000,
            refaulted_bytes=tick * 128 * MIB,
            scanned_bytes=tick * 128 * MIB,
        )

    return lie


def slack(tenant: Tenant) -> float:
    """What nobody is moved for."""
    return POLICY.dead_band_bytes(tenant.boot * MIB) / MIB


def shares(tenants: Sequence[Tenant], capacity: int, *, endless: Sequence[str] = ()) -> list[float]:
    """Say what each should have: by what it needs, or of those named by a claim without end."""
    claims = [
        Claim(
            guest=tenant.name,
            minimum_bytes=tenant.minimum * MIB,
            demand_bytes=(tenant.boot if tenant.name in endless else tenant.need) * MIB,
            want_bytes=tenant.boot * MIB,
            maximum_bytes=tenant.boot * MIB,
            weight=tenant.weight,
        )
        for tenant in tenants
    ]
    found = allocate(claims, capacity_bytes=capacity * MIB, pool_bytes=0, mode=Mode.SHARE)
    return [size / MIB for size in found.sizes_bytes]


@pytest.mark.trust("liars", "a guest's balloon statistics lie")
@many
@given(companies(), lies())
def test_in_share_mode_no_lie_ends_with_more_of_what_a_guest_needs_than_the_truth(
    company: tuple[list[Tenant], int], lie: Lie
) -> None:
    """The truth counts as what it would get if all of its need could be seen while it pages."""
    tenants, capacity = company
    liar = tenants[0]
    right = min(liar.need, shares(tenants, capacity)[0])

    honest = play(tenants, capacity, Mode.SHARE)
    lied = play(tenants, capacity, Mode.SHARE, lie)

    assert lied <= max(honest, right) + slack(liar)


@pytest.mark.trust("liars", "a guest's balloon statistics lie")
@pytest.mark.trust("neighbours", "a guest's balloon statistics lie")
@many
@given(companies(), lies())
def test_in_share_mode_an_honest_guest_has_its_fair_share_whatever_another_says(
    company: tuple[list[Tenant], int], lie: Lie
) -> None:
    tenants, capacity = company
    everybody = [tenant.name for tenant in tenants]
    fair = shares(tenants, capacity, endless=everybody)

    play(tenants, capacity, Mode.SHARE, lie)

    for tenant, share in list(zip(tenants, fair, strict=True))[1:]:
        assert tenant.ends_with >= min(tenant.need, share) - slack(tenant)


def overstated(seen: GuestObservation, tick: int) -> GuestObservation:
    """The lie that gains most of 250 that were tried: much in swap, and always some of it back."""
    assert seen.statistics is not None
    free = seen.devices.balloon_actual_bytes * 6 // 100
    said = replace(
        seen.statistics,
        available_bytes=free,
        disk_caches_bytes=512 * MIB,
        swap_in_bytes=tick * 256 * MIB,
        swap_out_bytes=tick * 256 * MIB + 4096 * MIB,
        major_faults=tick * 100_000,
    )
    return replace(seen, statistics=said)


def equal_tenants(count: int) -> tuple[list[Tenant], int]:
    """As many alike, each in need of 1 GiB, on a host that has 60 % of that."""
    tenants = [Tenant(name=f"g{number}", boot=2048, uses=960) for number in range(count)]
    return tenants, count * 1024 * 60 // 100


@pytest.mark.trust("liars", "a guest's balloon statistics lie")
@pytest.mark.parametrize("count", [2, 4])
def test_what_a_lie_gains_in_pressure_mode_and_not_in_share_mode(count: int) -> None:
    """As SECURITY.md says: up to its maximum in the one, nothing in the other."""
    tenants, capacity = equal_tenants(count)
    fair = capacity / count

    play(tenants, capacity, Mode.PRESSURE, overstated)
    in_pressure = tenants[0].sizes[-1]
    play(tenants, capacity, Mode.SHARE, overstated)
    in_share = tenants[0].sizes[-1]

    assert in_pressure > 1.5 * fair
    assert in_share <= fair + slack(tenants[0])


@pytest.mark.trust("liars", "a guest claims memory that its QEMU does not have")
@pytest.mark.parametrize("count", [2, 4])
def test_what_the_host_sees_takes_that_gain_away(count: int) -> None:
    """It says that it uses what it does not: its QEMU's memory shows that."""
    tenants, capacity = equal_tenants(count)
    fair = capacity // count

    play(tenants, capacity, Mode.PRESSURE, overstated, in_use={"g0": fair * MIB})

    assert tenants[0].sizes[-1] <= fair * 1.25 + 64
