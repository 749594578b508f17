"""A VM's Dynamic Memory settings and their rules, as Hyper-V has them.

Everything that decides whether a setting may be used, or may change while the VM runs, lives here.
All faults of a bad setting are found at once, each as a sentence with the value, the rule and what
would be accepted. Nothing here changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from barostat.errors import SettingsError
from barostat.units import MIB, format_size

__all__ = ["MemorySettings", "change_faults", "check", "setting_faults"]

# Hyper-V's ranges (Set-VMMemory and Msvm_MemorySettingData).
SMALLEST_MINIMUM_BYTES: Final = 32 * MIB
SMALLEST_BUFFER_PERCENT: Final = 5
LARGEST_BUFFER_PERCENT: Final = 2000
DEFAULT_BUFFER_PERCENT: Final = 20
LARGEST_WEIGHT: Final = 10_000
DEFAULT_WEIGHT: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySettings:
    """What an operator wants for one VM.

    Attributes:
        startup_bytes: what the VM boots with.
        minimum_bytes: what it always keeps, 32 MiB to startup.
        maximum_bytes: what it may grow to, startup to what its devices allow.
        buffer_percent: spare memory above its demand, in percent of the demand, 5 to 2000.
        weight: its rank when memory is short, 0 to 10000; means nothing while there is plenty.
        enabled: False holds the VM at the size it has: Dynamic Memory is off for it.
        paused: its operator holds it at the size it has for a while.
    """

    startup_bytes: int
    minimum_bytes: int
    maximum_bytes: int
    buffer_percent: int = DEFAULT_BUFFER_PERCENT
    weight: int = DEFAULT_WEIGHT
    enabled: bool = True
    paused: bool = False


def setting_faults(
    settings: MemorySettings, *, devices_bytes: int | None = None
) -> tuple[str, ...]:
    """Say every rule that the settings break, each in a sentence.

    Args:
        settings: what was asked for.
        devices_bytes: boot RAM plus the virtio-mem regions, where they are known: the largest
            size that the VM's devices allow.
    """
    faults = [*_size_faults(settings, devices_bytes)]
    if not SMALLEST_BUFFER_PERCENT <= settings.buffer_percent <= LARGEST_BUFFER_PERCENT:
        faults.append(
            f"buffer is {settings.buffer_percent} %: it must be between "
            f"{SMALLEST_BUFFER_PERCENT} % and {LARGEST_BUFFER_PERCENT} %"
        )
    if not 0 <= settings.weight <= LARGEST_WEIGHT:
        faults.append(f"weight is {settings.weight}: it must be between 0 and {LARGEST_WEIGHT}")
    return tuple(faults)


def _size_faults(settings: MemorySettings, devices_bytes: int | None) -> list[str]:
    startup, minimum, maximum = (
        format_size(settings.startup_bytes),
        format_size(settings.minimum_bytes),
        format_size(settings.maximum_bytes),
    )
    faults = []
    if settings.minimum_bytes < SMALLEST_MINIMUM_BYTES:
        faults.append(
            f"minimum is {minimum}: it must be at least {format_size(SMALLEST_MINIMUM_BYTES)}"
        )
    if settings.minimum_bytes > settings.startup_bytes:
        faults.append(f"minimum is {minimum}: it must not be above startup, {startup}")
    if settings.maximum_bytes < settings.startup_bytes:
        faults.append(f"maximum is {maximum}: it must not be below startup, {startup}")
    if devices_bytes is not None and settings.maximum_bytes > devices_bytes:
        faults.append(
            f"maximum is {maximum}: this VM's devices allow at most {format_size(devices_bytes)} "
            "(its boot RAM plus its virtio-mem region)"
        )
    return faults


def change_faults(old: MemorySettings, new: MemorySettings) -> tuple[str, ...]:
    """Say what of a change may not be done while the VM runs.

    Startup is fixed, minimum may fall, maximum may rise; buffer, weight, enabled and paused may
    change either way (Hyper-V's rules for a running VM).
    """
    faults = []
    if new.startup_bytes != old.startup_bytes:
        faults.append(
            f"startup cannot change while the VM runs: it is {format_size(old.startup_bytes)}"
        )
    if new.minimum_bytes > old.minimum_bytes:
        faults.append(
            "minimum can only be lowered while the VM runs: "
            f"it is {format_size(old.minimum_bytes)}, "
            f"{format_size(new.minimum_bytes)} would raise it"
        )
    if new.maximum_bytes < old.maximum_bytes:
        faults.append(
            "maximum can only be raised while the VM runs: "
            f"it is {format_size(old.maximum_bytes)}, "
            f"{format_size(new.maximum_bytes)} would lower it"
        )
    return tuple(faults)


def check(settings: MemorySettings, *, guest: str, devices_bytes: int | None = None) -> None:
    """Refuse settings that break a rule.

    Raises:
        SettingsError: with all faults; nothing was changed.
    """
    faults = setting_faults(settings, devices_bytes=devices_bytes)
    if faults:
        raise SettingsError(
            f'settings of VM "{guest}" cannot be used: ' + "; ".join(faults),
            faults=faults,
            hint="correct the settings named above; nothing was changed",
        )
