"""How a VM's settings stand, and what of a change of them cannot be. Pure.

What is written is judged as what it comes to: with what was left out filled in from what the VM is
made of, and while it runs, against what is in force. Every fault is found at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from barostat.config.settings_file import SettingsFile, SettingsPatch
from barostat.core.observation import GuestObservation
from barostat.core.settings import (
    SMALLEST_MINIMUM_BYTES,
    MemorySettings,
    change_faults,
    setting_faults,
)
from barostat.errors import SettingsError

__all__ = [
    "GuestSettings",
    "SettingsChange",
    "check_change",
    "gives_settings",
    "left_alone",
    "stand",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSettings:
    """The settings of one VM.

    Attributes:
        guest: its name.
        running: it is seen, running or not answering; False: it is off.
        place: where its settings stand, for people.
        written: what was written there; None: nothing.
        in_force: what that comes to, with what was left out filled in from what the VM is made
            of; None without settings, with settings that cannot be used, or while it is off.
        faults: why what is written cannot be used.
    """

    guest: str
    running: bool
    place: str
    written: SettingsFile | None
    in_force: MemorySettings | None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """What a change did: the settings before and after it. Equal ones: there was nothing to do."""

    before: GuestSettings
    after: GuestSettings


def stand(
    guest: str, seen: GuestObservation | None, written: SettingsFile | None, *, place: str
) -> GuestSettings:
    """Say how the settings stand that are, or would be, written.

    Args:
        guest: the VM's name.
        seen: as it was seen, None while it is off.
        written: its settings, None without.
        place: where they stand, for people.
    """
    in_force, faults = _in_force(seen, written)
    return GuestSettings(
        guest=guest,
        running=seen is not None,
        place=place,
        written=written,
        in_force=in_force,
        faults=faults,
    )


def _in_force(
    seen: GuestObservation | None, written: SettingsFile | None
) -> tuple[MemorySettings | None, tuple[str, ...]]:
    """Fill in what was left out, and judge it. While a VM is off only what is said is judged."""
    if written is None:
        return None, ()
    if seen is None:
        return None, setting_faults(_as_said(written))
    found = _resolved(seen, written)
    faults = setting_faults(found, devices_bytes=seen.devices.ceiling_bytes)
    return (None if faults else found), faults


def _resolved(seen: GuestObservation, written: SettingsFile) -> MemorySettings:
    devices = seen.devices
    return written.resolve(boot_bytes=devices.boot_bytes, ceiling_bytes=devices.ceiling_bytes)


def _as_said(written: SettingsFile) -> MemorySettings:
    """Make settings of what was written, with nothing in them that could be a fault but that."""
    said = (written.startup, written.minimum, written.maximum, SMALLEST_MINIMUM_BYTES)
    boot = next(size for size in said if size is not None)
    return written.resolve(boot_bytes=boot, ceiling_bytes=max(boot, written.minimum or 0))


def gives_settings(patch: SettingsPatch) -> bool:
    """Say whether a patch turns Dynamic Memory on for a VM that has no settings."""
    asked = patch.model_fields_set
    return bool(asked - {"enabled", "paused"} or patch.enabled)


def left_alone(before: GuestSettings, patch: SettingsPatch) -> GuestSettings:
    """Leave a VM without settings as it is.

    Raises:
        SettingsError: it was to be paused, which would mean nothing.
    """
    if patch.paused:
        raise SettingsError(
            f'VM "{before.guest}" has no Dynamic Memory settings: there is nothing to pause',
            hint=f"it keeps its size anyway; `barostat enable {before.guest}` gives it settings",
        )
    return before


def check_change(
    before: GuestSettings, after: GuestSettings, seen: GuestObservation | None
) -> None:
    """Refuse what breaks a rule of settings, or of changing them while the VM runs.

    Raises:
        SettingsError: with all faults.
    """
    faults = list(after.faults)
    if seen is not None and after.written is not None:
        wished = _resolved(seen, after.written)
        faults += change_faults(before.in_force or _unset(seen, wished), wished)
    if faults:
        raise SettingsError(
            f'settings of VM "{after.guest}" cannot be changed so: ' + "; ".join(faults),
            faults=tuple(faults),
            hint="correct what is named above; nothing was changed",
        )


def _unset(seen: GuestObservation, wished: MemorySettings) -> MemorySettings:
    """Say what holds for a VM without settings: only its startup is settled, by its boot."""
    return replace(wished, startup_bytes=seen.devices.boot_bytes)
