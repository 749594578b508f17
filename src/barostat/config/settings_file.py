"""A VM's Dynamic Memory settings in a file of its own, for guests that bare QEMU runs.

`web.toml` beside `web.qmp` holds the settings of VM "web". A VM without a file has no Dynamic
Memory and keeps its size. A file that cannot be used never stops anything: its VM is held, and
everything that shows it says why.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from barostat.config.toml_file import FileModel, Size, read_toml
from barostat.core.observation import GuestObservation
from barostat.core.settings import DEFAULT_BUFFER_PERCENT, DEFAULT_WEIGHT, MemorySettings
from barostat.errors import SettingsError
from barostat.units import format_size

__all__ = ["SettingsFile", "SettingsFolder", "write_settings"]


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
        path = self.folder / f"{guest.name}.toml"
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
        if read.content is None:
            raise SettingsError(
                f"{path}: " + "; ".join(read.faults),
                faults=read.faults,
                hint="correct the file; the VM keeps its size until then",
            )
        devices = guest.devices
        return read.content.resolve(
            boot_bytes=devices.boot_bytes, ceiling_bytes=devices.ceiling_bytes
        )


def write_settings(path: Path, settings: MemorySettings) -> None:
    """Write a settings file that `SettingsFolder` reads back as the same settings."""
    lines = (
        f'startup = "{_written(settings.startup_bytes)}"',
        f'minimum = "{_written(settings.minimum_bytes)}"',
        f'maximum = "{_written(settings.maximum_bytes)}"',
        f"buffer = {settings.buffer_percent}  # percent of the demand",
        f"weight = {settings.weight}",
        f"enabled = {str(settings.enabled).lower()}",
    )
    path.write_text("\n".join(lines) + "\n")


def _written(size_bytes: int) -> str:
    """Write a size exactly: in MiB where it is whole, in bytes otherwise."""
    whole = format_size(size_bytes).replace(" ", "")
    return whole if size_bytes % 2**20 == 0 and whole.endswith("MiB") else f"{size_bytes}B"
