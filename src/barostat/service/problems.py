"""Errors over HTTP: RFC 9457 problems out of our errors, and back.

The client raises what the daemon would have raised, so that a command says and exits the same
whichever way it asked. Nobody outside ever sees a traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Final

from barostat import errors
from barostat.errors import BarostatError, SettingsError
from barostat.service.documents import Problem

__all__ = ["MEDIA_TYPE", "error_of", "input_problem", "problem_of", "status_problem"]

MEDIA_TYPE: Final = "application/problem+json"

_PREFIX: Final = "urn:barostat:error:"

_KINDS: Final[tuple[tuple[type[BarostatError], str, int], ...]] = (
    (errors.UnknownGuestError, "unknown-guest", 404),
    (errors.ConflictError, "conflict", 409),
    (errors.SettingsError, "settings", 422),
    (errors.InputError, "input", 400),
    (errors.DeadlineError, "deadline", 504),
    (errors.UnreachableError, "unreachable", 502),
    (errors.RefusedError, "refused", 502),
    (errors.GuestGoneError, "guest-gone", 502),
    (errors.HypervisorError, "hypervisor", 502),
    (errors.DeniedError, "denied", 403),
    (errors.HostError, "host", 503),
    (errors.HistoryError, "history", 404),
    (errors.ServiceError, "service", 503),
    (errors.BarostatError, "fault", 500),
)
"""Every error's name and status; the first that fits, so what is narrow comes first."""


def problem_of(error: BarostatError) -> Problem:
    """Describe an error."""
    kind, name, status = next(known for known in _KINDS if isinstance(error, known[0]))
    faults = error.faults if isinstance(error, SettingsError) else ()
    return Problem(
        type=f"{_PREFIX}{name}",
        title=(kind.__doc__ or "").partition(".")[0],
        status=status,
        detail=error.message,
        hint=error.hint,
        faults=faults,
    )


def error_of(problem: Problem) -> BarostatError:
    """Make of a problem the error that it describes; of one that is not known, a ServiceError."""
    name = problem.type.removeprefix(_PREFIX)
    kinds = {known: kind for kind, known, _ in _KINDS}
    kind = kinds.get(name, errors.ServiceError)
    if issubclass(kind, SettingsError):
        return kind(problem.detail, faults=problem.faults, hint=problem.hint)
    return kind(problem.detail, hint=problem.hint)


def status_problem(status: int, detail: str, *, hint: str = "") -> Problem:
    """Describe what HTTP itself refuses: an unknown path, a method, a body too large."""
    return Problem(
        type="about:blank", title=detail, status=status, detail=detail, hint=hint, faults=()
    )


def input_problem(found: Sequence[Any], *, known: Sequence[str] = ()) -> Problem:
    """Describe a request whose path, query or body cannot be read, with every fault in it.

    Args:
        found: what pydantic says.
        known: the keys that the body may have.
    """
    faults = tuple(_fault(details, known) for details in found)
    error = SettingsError(
        "the request cannot be used: " + "; ".join(faults),
        faults=faults,
        hint="correct what is named above; nothing was changed",
    )
    return problem_of(error)


def _fault(details: Any, known: Sequence[str]) -> str:
    if details["type"] == "json_invalid":
        return "the body is not JSON"
    place = ".".join(str(part) for part in details["loc"][1:])
    message = f"{details['msg'][:1].lower()}{details['msg'][1:]}"
    if details["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(details["loc"][-1]), known, n=1)
        meant = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
        message = f"there is no such key; {meant}"
    return f"{place}: {message}" if place else message
