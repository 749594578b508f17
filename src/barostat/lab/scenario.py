"""Scenarios: a host, its guests, and what their workloads do when. Read from TOML, checked whole.

Times are seconds after all guests with `boot_at = 0` are ready. Nothing boots before every fault
of the file has been named.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field

from barostat.config.toml_file import FileModel, Size, read_toml
from barostat.core.settings import (
    DEFAULT_BUFFER_PERCENT,
    DEFAULT_WEIGHT,
    MemorySettings,
    setting_faults,
)
from barostat.errors import ScenarioError
from barostat.hypervisors.plugging import BLOCK_BYTES, LARGEST_GROWTH
from barostat.lab.guests import NAME, SMALLEST_BOOT_BYTES
from barostat.units import MIB, format_size

__all__ = ["Scenario", "ScenarioGuest", "Step", "read_scenario"]

LARGEST_FLEET: Final = 64

Number = Annotated[float, Field(allow_inf_nan=False)]
"""TOML can write `nan` and `inf`; no time and no share is either."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioGuest:
    """A guest to boot: its settings, its swap, and when it comes."""

    name: str
    settings: MemorySettings
    swap_bytes: int
    boot_at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a guest's workload does from `at_s` on.

    It holds `use_bytes`, a share `hot` of it touched all the time, and has read `cache_bytes` of
    files into its page cache. None leaves it as it is.
    """

    at_s: float
    guest: str
    use_bytes: int | None
    hot: float
    cache_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A host's capacity, guests in the order of the file, steps in the order of time."""

    name: str
    capacity_bytes: int
    guests: tuple[ScenarioGuest, ...]
    steps: tuple[Step, ...]

    @property
    def settings(self) -> dict[str, MemorySettings]:
        """The guests' settings by name."""
        return {guest.name: guest.settings for guest in self.guests}


class _Host(FileModel):
    capacity: Size


class _Guest(FileModel):
    name: str
    startup: Size
    minimum: Size | None = None
    maximum: Size | None = None
    buffer: int = DEFAULT_BUFFER_PERCENT
    weight: int = DEFAULT_WEIGHT
    swap: Size = 512 * MIB
    boot_at: Number = 0.0

    def settings(self) -> MemorySettings:
        return MemorySettings(
            startup_bytes=self.startup,
            minimum_bytes=self.startup if self.minimum is None else self.minimum,
            maximum_bytes=self.startup if self.maximum is None else self.maximum,
            buffer_percent=self.buffer,
            weight=self.weight,
        )


class _Step(FileModel):
    at: Number
    guest: str
    use: Size | None = None
    hot: Number = 1.0
    cache: Size | None = None


class _File(FileModel):
    host: _Host
    guest: list[_Guest]
    step: list[_Step] = Field(default_factory=list)


def read_scenario(path: Path) -> Scenario:
    """Read and check a scenario file.

    Raises:
        ScenarioError: with every fault; nothing was booted.
        InputError: the file cannot be read.
    """
    content, faults = read_toml(path, _File)
    if content is not None:
        faults = (*_name_faults(path), *_faults(content))
    if content is None or faults:
        raise ScenarioError(
            f"scenario {path} cannot be run: " + "; ".join(faults),
            faults=faults,
            hint="correct what is named above; nothing was booted",
        )
    return _scenario(path.stem, content)


def _scenario(name: str, content: _File) -> Scenario:
    guests = tuple(
        ScenarioGuest(
            name=guest.name,
            settings=guest.settings(),
            swap_bytes=guest.swap,
            boot_at_s=guest.boot_at,
        )
        for guest in content.guest
    )
    steps = (
        Step(
            at_s=step.at,
            guest=step.guest,
            use_bytes=step.use,
            hot=step.hot,
            cache_bytes=step.cache,
        )
        for step in content.step
    )
    return Scenario(
        name=name,
        capacity_bytes=content.host.capacity,
        guests=guests,
        steps=tuple(sorted(steps, key=lambda step: step.at_s)),
    )


def _name_faults(path: Path) -> tuple[str, ...]:
    """The file's name names the scenario, and a kept lab's folder: it must not lead elsewhere."""
    if not path.stem.startswith("."):
        return ()
    return (f'its name is "{path.name}": it must not begin with a dot',)


def _faults(content: _File) -> list[str]:
    faults = []
    names = [guest.name for guest in content.guest]
    if not 1 <= len(names) <= LARGEST_FLEET:
        faults.append(f"guest: {len(names)} guests: 1 to {LARGEST_FLEET} can be booted")
    for number, guest in enumerate(content.guest, start=1):
        faults += [f"guest {number}: {fault}" for fault in _guest_faults(guest)]
        if names.count(guest.name) > 1:
            faults.append(f'guest {number}: name "{guest.name}" is used more than once')
    for number, step in enumerate(content.step, start=1):
        faults += [f"step {number}: {fault}" for fault in _step_faults(step, names)]
    return faults + _capacity_faults(content)


def _guest_faults(guest: _Guest) -> list[str]:
    faults = list(setting_faults(guest.settings()))
    if not NAME.fullmatch(guest.name):
        faults.append(
            f'name "{guest.name[:40]}": it must be 1 to 32 of a-z, 0-9 and "-", a letter first'
        )
    if guest.startup < SMALLEST_BOOT_BYTES:
        least = format_size(SMALLEST_BOOT_BYTES)
        faults.append(f"startup is {format_size(guest.startup)}: a lab guest needs {least}")
    maximum, most = guest.settings().maximum_bytes, LARGEST_GROWTH * guest.startup
    if maximum > most:
        faults.append(
            f"maximum is {format_size(maximum)}: a lab guest can grow to {LARGEST_GROWTH} times "
            f"its startup, {format_size(most)}"
        )
    sizes = {"startup": guest.startup, "maximum": maximum, "swap": guest.swap}
    for key, size in sizes.items():
        if size % BLOCK_BYTES:
            faults.append(f"{key} is {size} bytes: it must be a multiple of 2 MiB")
    if guest.boot_at < 0:
        faults.append(f"boot_at is {guest.boot_at:g}: it must not be negative")
    return faults


def _step_faults(step: _Step, names: list[str]) -> list[str]:
    faults = []
    if step.guest not in names:
        near = difflib.get_close_matches(step.guest, names, n=1)
        meant = f'; did you mean "{near[0]}"?' if near else ""
        faults.append(f'there is no guest "{step.guest[:40]}"{meant}')
    if step.at < 0:
        faults.append(f"at is {step.at:g}: it must not be negative")
    if not 0 <= step.hot <= 1:
        faults.append(f"hot is {step.hot:g}: it is a share, 0 to 1")
    if step.use is None and step.cache is None:
        faults.append('it changes nothing: give it "use" or "cache"')
    return faults


def _capacity_faults(content: _File) -> list[str]:
    """A guest comes only where its startup fits beside the minimums of those before it."""
    faults: list[str] = []
    capacity, minimums = content.host.capacity, 0
    first = sum(guest.startup for guest in content.guest if guest.boot_at == 0)
    if first > capacity:
        faults.append(
            f"host: capacity is {format_size(capacity)}, but the guests that boot first have "
            f"{format_size(first)} of startup memory together"
        )
    for guest in sorted(content.guest, key=lambda guest: guest.boot_at):
        if guest.boot_at > 0 and minimums + guest.startup > capacity:
            faults.append(
                f'guest "{guest.name}" can never start: its startup, {format_size(guest.startup)}, '
                f"and the others' minimums, {format_size(minimums)}, are more than the capacity"
            )
        minimums += guest.settings().minimum_bytes
    return faults
