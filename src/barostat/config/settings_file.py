"""The settings of VMs in TOML files, one a VM: for guests that bare QEMU runs.

`web.toml` beside `web.qmp` holds the settings of VM "web". A VM without a file has no Dynamic
Memory and keeps its size. A file that cannot be used never stops anything: its VM is held, and
everything that shows it says why.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from barostat.config.ranges import exact_size
from barostat.config.settings_edit import edited, replace_file, turn
from barostat.config.toml_file import FileModel, Size, read_toml
from barostat.core.observation import GuestObservation
from barostat.core.settings import DEFAULT_BUFFER_PERCENT, DEFAULT_WEIGHT, MemorySettings
from barostat.errors import ConflictError, InputError, SettingsError, UnknownGuestError

__all__ = ["SettingsFile", "SettingsFolder", "SettingsPatch", "write_settings"]

_SIZES: Final = frozenset({"startup", "minimum", "maximum"})


class SettingsFile(FileModel):
    """The keys of a settings file. What is left out has Hyper-V's default.

    Attributes:
        startup: default: the VM's boot RAM.
        minimum: default: startup.
        maximum: default: all that the VM's devices allow.
    """

    startup: Size | None = None
    minimum: Size | None = None
    maximum: Size | None = None
    buffer: int = DEFAULT_BUFFER_PERCENT
    weight: int = DEFAULT_WEIGHT
    enabled: bool = True
    paused: bool = False

    def resolve(self, *, boot_bytes: int, ceiling_bytes: int) -> MemorySettings:
        """Fill in what was left out, from what the VM is made of."""
        startup = boot_bytes if self.startup is None else self.startup
        return MemorySettings(
            startup_bytes=startup,
            minimum_bytes=startup if self.minimum is None else self.minimum,
            maximum_bytes=ceiling_bytes if self.maximum is None else self.maximum,
            buffer_percent=self.buffer,
            weight=self.weight,
            enabled=self.enabled,
            paused=self.paused,
        )


class SettingsPatch(BaseModel):
    """What of a VM's settings is to change. What is left out stays; null is the default again."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    startup_bytes: int | None = None
    minimum_bytes: int | None = None
    maximum_bytes: int | None = None
    buffer_percent: int | None = None
    weight: int | None = None
    enabled: bool | None = None
    paused: bool | None = None

    def applied_to(self, written: SettingsFile | None) -> SettingsFile:
        """Make the settings that are wanted of those that are written, or of the defaults."""
        changes = {}
        for name in self.model_fields_set:
            key = name.removesuffix("_bytes").removesuffix("_percent")
            value = getattr(self, name)
            changes[key] = SettingsFile.model_fields[key].default if value is None else value
        return (written or SettingsFile()).model_copy(update=changes)


@dataclass(slots=True)
class _Read:
    stamp: tuple[int, int]
    content: SettingsFile | None
    faults: tuple[str, ...]


@dataclass(slots=True)
class SettingsFolder:
    """The settings files of one folder; an edit is noticed at the next look."""

    folder: Path
    _cache: dict[str, _Read] = field(default_factory=dict)

    def settings_of(self, guest: GuestObservation) -> MemorySettings | None:
        """Say what a guest's file sets, None if it has none.

        Raises:
            SettingsError: the file cannot be used.
        """
        path = self._path(guest.name)
        try:
            found = path.stat()
        except FileNotFoundError:
            self._cache.pop(guest.name, None)
            return None
        except OSError as error:
            raise SettingsError(f"cannot look at {path}: {error.strerror}") from error
        stamp = (found.st_mtime_ns, found.st_size)
        read = self._cache.get(guest.name)
        if read is None or read.stamp != stamp:
            content, faults = read_toml(path, SettingsFile)
            read = self._cache[guest.name] = _Read(stamp, content, faults)
        content = _usable(path, read.content, read.faults)
        devices = guest.devices
        return content.resolve(boot_bytes=devices.boot_bytes, ceiling_bytes=devices.ceiling_bytes)

    def place_of(self, guest: str) -> str:
        """Say which file holds a VM's settings."""
        return str(self._path(guest))

    async def read(self, guest: str) -> SettingsFile | None:
        """Read a VM's file; None if it has none, and a socket shows that the VM is there.

        Raises:
            SettingsError: the file cannot be used.
            UnknownGuestError: neither file nor socket is there.
        """
        return await asyncio.to_thread(self._read, guest)

    async def write(
        self, guest: str, settings: SettingsFile | None, *, before: SettingsFile | None
    ) -> None:
        """Write a VM's file in one step; None removes it. Comments, order and spelling stay.

        Raises:
            ConflictError: something else than `before` stands in it by now.
            UnknownGuestError: as for `read`.
            InputError: the file cannot be written; it is as it was.
        """
        await asyncio.to_thread(self._write, guest, settings, before)

    def _path(self, guest: str) -> Path:
        if "/" in guest or "\0" in guest or guest.startswith("."):
            raise UnknownGuestError(
                f"{guest!r} cannot be the name of a VM", hint="a settings file is called NAME.toml"
            )
        return self.folder / f"{guest}.toml"

    def _read(self, guest: str) -> SettingsFile | None:
        path = self._path(guest)
        try:
            written = path.exists()
            there = written or path.with_name(f"{guest}.qmp").exists()
        except OSError as error:
            raise UnknownGuestError(
                f'cannot look for a VM "{guest}" in {self.folder}: {error.strerror}',
                hint="check the name, and that the daemon may read the folder",
            ) from error
        if not there:
            raise UnknownGuestError(f'there is no VM "{guest}" in {self.folder}')
        return _usable(path, *read_toml(path, SettingsFile)) if written else None

    def _write(
        self, guest: str, settings: SettingsFile | None, before: SettingsFile | None
    ) -> None:
        path = self._path(guest)
        try:
            with turn(self.folder):
                if self._read(guest) != before:
                    raise ConflictError(
                        f"somebody else changed {path} meanwhile; theirs was left as it is",
                        hint=f"`barostat show {guest}` shows what it says now; then try again",
                    )
                replace_file(path, None if settings is None else _text(path, settings, before))
        except OSError as error:
            raise InputError(
                f"cannot look at {self.folder}: {error.strerror}",
                hint="check the name and that you may read it; nothing was changed",
            ) from error


def _usable(path: Path, content: SettingsFile | None, faults: tuple[str, ...]) -> SettingsFile:
    if content is None:
        raise SettingsError(
            f"{path}: " + "; ".join(faults),
            faults=faults,
            hint="correct the file; the VM keeps its size until then",
        )
    return content


def _text(path: Path, settings: SettingsFile, before: SettingsFile | None) -> str:
    """Write the keys that differ from what stands in the file; the others stay as they are.

    A first file says that Dynamic Memory is on, or off, even where nothing else is to be said.
    """
    old = before or SettingsFile()
    changes = {
        key: exact_size(value) if key in _SIZES and value is not None else value
        for key, value in settings
        if value != getattr(old, key) or (before is None and key == "enabled")
    }
    return edited(path.read_text() if path.exists() else "", changes)


def write_settings(path: Path, settings: MemorySettings) -> None:
    """Write a settings file that `SettingsFolder` reads back as the same settings."""
    lines = (
        f'startup = "{exact_size(settings.startup_bytes)}"',
        f'minimum = "{exact_size(settings.minimum_bytes)}"',
        f'maximum = "{exact_size(settings.maximum_bytes)}"',
        f"buffer = {settings.buffer_percent}  # percent of the demand",
        f"weight = {settings.weight}",
        f"enabled = {str(settings.enabled).lower()}",
    )
    path.write_text("\n".join(lines) + "\n")
