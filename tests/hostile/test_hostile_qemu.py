"""What somebody who owns a QEMU process, or a VM's settings, can do to its neighbours at worst."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builders import Host, devices, guest, settings

from barostat.core.moves import MoveKind
from barostat.core.reasons import ReasonCode
from barostat.units import MIB

MINIMUM = 256
TICKS = 60


def play(host: Host, sizes: dict[str, int], *others: object) -> set[ReasonCode]:
    """Look at honest guests in need of 764 MiB for a minute, beside others; give the alarms."""
    alarms: set[ReasonCode] = set()
    for tick in range(TICKS):
        at = 100.0 + tick
        seen = [
            guest(name, used=700, has=devices(2048, balloon=2048 - size, region=0), at=at)
            for name, size in sizes.items()
        ]
        beside = [replace(other, seen_at_s=at, statistics_at_s=at) for other in others]  # type: ignore[type-var]
        decision = host.tick(*seen, *beside, at=at)  # type: ignore[arg-type]
        alarms |= {alarm.code for alarm in decision.alarms}
        for move in decision.moves:
            if move.kind is not MoveKind.NUDGE:
                sizes[move.guest] = move.to_bytes // MIB
    return alarms


def small_host(**others: object) -> Host:
    host = Host(4096)
    for name in ("db", "web"):
        host.settings[name] = settings(MINIMUM, 2048, startup=2048)
    host.settings |= others  # type: ignore[arg-type]
    return host


@pytest.mark.trust("minimum", "a QEMU claims to be larger than the host")
def test_a_qemu_that_claims_to_be_larger_than_the_host_takes_nobody_below_the_minimum() -> None:
    """Where the host cannot see that it lies, it takes them there: SECURITY.md says so."""
    world = replace(
        devices(region=0), boot_bytes=2**60, balloon_actual_bytes=2**60, has_balloon=False
    )
    liar = replace(guest("liar", has=world), statistics=None)
    sizes = {"db": 1500, "web": 900}

    alarms = play(small_host(), sizes, liar)

    assert ReasonCode.CAPACITY_LOST in alarms
    assert sizes == {"db": MINIMUM, "web": MINIMUM}


@pytest.mark.trust("minimum", "a tenant writes greedy settings for its own VM")
def test_who_may_write_one_vms_settings_takes_others_no_lower_than_their_minimums() -> None:
    greedy = settings(2048, 2048, startup=2048, weight=10_000, buffer=2000)
    host = small_host(mine=greedy)
    host.capacity = 3072
    sizes = {"db": 900, "web": 900}

    play(host, sizes, guest("mine", used=1900, has=devices(2048, balloon=900, region=0)))

    assert all(size >= MINIMUM for size in sizes.values())
