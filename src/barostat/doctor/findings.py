"""What doctor says: one finding for each thing it looked into, with what to do about it."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

__all__ = ["HOST", "Check", "Finding", "Level", "Verdict", "advise", "block", "fine"]

HOST: Final = "host"
"""The subject of what concerns no single guest."""


class Level(enum.Enum):
    """How bad a finding is."""

    OK = "ok"
    ADVICE = "advice"  # it works, and would work better
    BLOCKS = "blocks"  # memory cannot be moved, or not safely


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found.

    Attributes:
        subject: "host", or a guest's name.
        check: which check found it.
        level: how bad it is.
        says: what was found, in a sentence.
        remedy: what to do; empty where all is well.
    """

    subject: str
    check: str
    level: Level
    says: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check makes of what is known."""

    level: Level
    says: str
    remedy: str = ""


def fine(says: str) -> Verdict:
    """All is well."""
    return Verdict(level=Level.OK, says=says)


def advise(says: str, remedy: str) -> Verdict:
    """It works, and would work better."""
    return Verdict(level=Level.ADVICE, says=says, remedy=remedy)


def block(says: str, remedy: str) -> Verdict:
    """Memory cannot be moved, or not safely."""
    return Verdict(level=Level.BLOCKS, says=says, remedy=remedy)


Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Generic[Facts]):
    """One thing that doctor looks into.

    Attributes:
        id: its name, never changed: scripts ask for it.
        wants: what should be, for the reference.
        judge: says how it is; None where it cannot be known or is of no concern.
    """

    id: str
    wants: str
    judge: Callable[[Facts], Verdict | None]
