"""Doctor's facts out of what a daemon or a direct look says of the guests, and of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from barostat.core.observation import RunState
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.doctor.examine import blocks, examine
from barostat.doctor.facts import Daemon, GuestFacts
from barostat.doctor.findings import Finding
from barostat.doctor.gather import Machine, look_at_machine
from barostat.errors import BarostatError
from barostat.service.documents import Examination, Found, Guest, Overview

__all__ = ["Asked", "examination_of", "examine_all"]

_UNFIT: Final = frozenset(
    code.value
    for code in (
        ReasonCode.CONFIDENTIAL,
        ReasonCode.PASSTHROUGH,
        ReasonCode.HUGEPAGES,
        ReasonCode.LOCKED,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What could be learned of the guests, by which way, or why nothing could."""

    overview: Overview | None = None
    daemon: Daemon | None = None
    way: str = ""
    fault: BarostatError | None = None


async def examine_all(asked: Asked, *, uris: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Judge this machine and its guests.

    Args:
        asked: what was learned of the guests.
        uris: libvirt's, whose version is wanted.

    Raises:
        HostError: the machine cannot be looked at.
    """
    overview = asked.overview
    guests = () if overview is None else overview.guests
    boots = {guest.name: guest.boot_bytes for guest in guests}
    machine = await look_at_machine(boots, asked=uris)
    fault = asked.fault
    facts = replace(
        machine.facts,
        daemon=asked.daemon,
        way=asked.way,
        way_fault=None if fault is None else (fault.message, fault.hint),
    )
    if overview is not None:
        host = overview.host
        facts = replace(
            facts, capacity_bytes=host.capacity_bytes, promised_bytes=host.promised_bytes
        )
        if asked.daemon is not None:
            limits = tuple((item.name, item.message) for item in overview.limit_faults)
            facts = replace(facts, limit_faults=limits)
    seen = {guest.name for guest in guests}
    faults = () if overview is None else overview.faults
    silent = {item.name: (item.message, item.hint) for item in faults if item.name not in seen}
    return examine(facts, [_facts(guest, machine) for guest in guests], silent=silent)


def examination_of(findings: Sequence[Finding]) -> Examination:
    """Say what was found."""
    return Examination(
        blocks=blocks(findings),
        findings=tuple(
            Found(
                subject=item.subject,
                check=item.check,
                level=item.level,
                says=item.says,
                remedy=item.remedy,
            )
            for item in findings
        ),
    )


def _facts(guest: Guest, machine: Machine) -> GuestFacts:
    balloon, settings = machine.balloon_of(guest.name), guest.settings
    program = guest.program
    return GuestFacts(
        name=guest.name,
        fault=_silence(guest),
        booting=guest.run_state is RunState.BOOTING,
        has_balloon=guest.has_balloon,
        depth=guest.depth,
        program_fault=None if program is None else program.fault,
        onlining=None if program is None else program.onlining,
        block_bytes=None if program is None else program.block_bytes,
        swap_bytes=None if program is None else program.swap_bytes,
        statistics_age_s=guest.statistics_age_s,
        deflate_on_oom=guest.deflate_on_oom,
        free_page_reporting=None if balloon is None else balloon.free_page_reporting,
        boot_bytes=guest.boot_bytes,
        ceiling_bytes=guest.ceiling_bytes,
        assigned_bytes=guest.assigned_bytes,
        plugged_bytes=guest.plugged_bytes,
        total_bytes=guest.total_bytes,
        swapped_out_bytes=guest.swapped_out_bytes,
        unfit=machine.unfit.get(guest.name) or _unfit(guest),
        minimum_bytes=None if settings is None else settings.minimum_bytes,
        maximum_bytes=None if settings is None else settings.maximum_bytes,
        enabled=settings is not None and settings.enabled,
        settings_fault=_settings_fault(guest),
    )


def _silence(guest: Guest) -> str | None:
    if guest.fault is not None or guest.run_state is not RunState.UNREACHABLE:
        return guest.fault
    return "its hypervisor does not answer"


def _unfit(guest: Guest) -> Reason | None:
    """Say why the host cannot have back what it gives, by what its hypervisor knows of it."""
    found = (why for why in guest.reasons if why.code in _UNFIT)
    return next((because(ReasonCode(why.code), **why.numbers) for why in found), None)


def _settings_fault(guest: Guest) -> str | None:
    found = (why for why in guest.reasons if why.code == ReasonCode.BAD_SETTINGS.value)
    return next((str(why.numbers["fault"]) for why in found), None)
