"""All checks on all facts: the findings, host first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TypeVar

from barostat.doctor.facts import GuestFacts, HostFacts
from barostat.doctor.findings import HOST, Check, Finding, Level
from barostat.doctor.guest_checks import ANSWERS, GUEST_CHECKS
from barostat.doctor.host_checks import HOST_CHECKS

__all__ = ["blocks", "examine"]

Facts = TypeVar("Facts")


def examine(
    host: HostFacts,
    guests: Sequence[GuestFacts],
    *,
    silent: Mapping[str, tuple[str, str]] = MappingProxyType({}),
) -> tuple[Finding, ...]:
    """Judge the host and every guest; what cannot be known is left out.

    Args:
        host: its facts.
        guests: those of every guest that was seen.
        silent: what should be a guest, or a whole connection, and is not seen: why, and what to do.
    """
    found = list(_judged(HOST, HOST_CHECKS, host))
    for guest in guests:
        found += _judged(guest.name, GUEST_CHECKS, guest)
    found += [
        Finding(subject=name, check=ANSWERS, level=Level.BLOCKS, says=says, remedy=remedy)
        for name, (says, remedy) in silent.items()
    ]
    return tuple(found)


def _judged(subject: str, checks: Sequence[Check[Facts]], facts: Facts) -> Iterator[Finding]:
    for check in checks:
        verdict = check.judge(facts)
        if verdict is not None:
            yield Finding(
                subject=subject,
                check=check.id,
                level=verdict.level,
                says=verdict.says,
                remedy=verdict.remedy,
            )


def blocks(findings: Sequence[Finding]) -> bool:
    """Say whether anything keeps memory from being moved."""
    return any(finding.level is Level.BLOCKS for finding in findings)
