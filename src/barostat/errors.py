"""The one exception tree. Every error says what was wrong and, in `hint`, what to do.

BarostatError
├── InputError              a person gave something that cannot be used; nothing was changed
│   ├── SizeError           not a size of memory
│   ├── SettingsError       a VM's settings break a rule; carries every fault
│   ├── ConfigError         the daemon's configuration cannot be used; carries every fault
│   ├── ScenarioError       a lab scenario that cannot be run; carries every fault
│   ├── ConflictError       somebody else changed it meanwhile
│   └── UnknownGuestError   no VM of that name
├── HypervisorError         a guest's hypervisor did not do what was asked
│   ├── UnreachableError    nobody answers, or what answers is not QMP
│   │   └── LateError       it has not answered yet, and is waited for
│   ├── DeadlineError       no answer in time
│   ├── RefusedError        it answered no
│   └── GuestGoneError      the guest ended
├── HostError               the machine itself cannot be looked at
├── HistoryError            what was recorded cannot be read, or was not recorded
├── ServiceError            the daemon does not answer, or could not do what was asked
│   ├── NoDaemonError       no daemon runs there
│   └── DeniedError         we may not ask it that
└── LabError                a real guest could not be built, booted or talked to
    ├── MissingPackagesError
    └── GuestDiedError      carries the path of the guest's console log
"""

from __future__ import annotations

__all__ = [
    "BarostatError",
    "ConfigError",
    "ConflictError",
    "DeadlineError",
    "DeniedError",
    "GuestDiedError",
    "GuestGoneError",
    "HistoryError",
    "HostError",
    "HypervisorError",
    "InputError",
    "LabError",
    "LateError",
    "MissingPackagesError",
    "NoDaemonError",
    "RefusedError",
    "ScenarioError",
    "ServiceError",
    "SettingsError",
    "SizeError",
    "UnknownGuestError",
    "UnreachableError",
]


class BarostatError(Exception):
    """Base of all errors that Barostat raises on purpose.

    `message` says what was wrong; `hint` says what to do about it, or is empty.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InputError(BarostatError):
    """What a person gave cannot be used. Nothing was changed."""


class SizeError(InputError):
    """A text is not a size of memory."""


class SettingsError(InputError):
    """A VM's settings break one or more rules. `faults` holds a sentence for each."""

    def __init__(self, message: str, *, faults: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.faults = faults


class ConfigError(InputError):
    """The daemon's configuration cannot be used. `faults` holds a sentence for each."""

    def __init__(self, message: str, *, faults: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.faults = faults


class ScenarioError(InputError):
    """A lab scenario cannot be run. `faults` holds a sentence for each."""

    def __init__(self, message: str, *, faults: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.faults = faults


class ConflictError(InputError):
    """Somebody else changed meanwhile what was to be changed."""


class UnknownGuestError(InputError):
    """No VM of that name is known."""


class HypervisorError(BarostatError):
    """A guest's hypervisor did not do what was asked of it."""


class UnreachableError(HypervisorError):
    """Nobody answers at the address, or what answers is not what was expected."""


class LateError(UnreachableError):
    """What is there has not answered yet; it may still."""


class DeadlineError(HypervisorError):
    """No answer came in time."""


class RefusedError(HypervisorError):
    """The hypervisor understood and said no."""


class GuestGoneError(HypervisorError):
    """The guest ended while it was spoken to."""


class HostError(BarostatError):
    """The machine itself cannot be looked at."""


class HistoryError(BarostatError):
    """What was recorded cannot be read, or nothing was recorded."""


class ServiceError(BarostatError):
    """The daemon does not answer, or could not do what was asked."""


class NoDaemonError(ServiceError):
    """No daemon runs there."""


class DeniedError(ServiceError):
    """We may not ask the daemon that."""


class LabError(BarostatError):
    """A real guest could not be built, booted or talked to."""


class MissingPackagesError(LabError):
    """Packages that the lab stands on are not installed."""


class GuestDiedError(LabError):
    """A lab guest ended by itself. `console` is the path of its console log."""

    def __init__(self, message: str, *, console: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.console = console


def first_fault(error: BaseException) -> BaseException:
    """Find the first of what went wrong together: it is what the person should read."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
