"""Who may do what: three roles, and one table that says for every route which of them it takes.

A role may do all that the one below it may. What is not in the table is for admins, so that a route
that somebody forgot is closed; a test names it. Who asks is settled before, by `doorkeeper`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

__all__ = ["GRANTED", "NEEDED", "NOBODY", "Caller", "Role", "Way", "needed_role"]


class Role(enum.Enum):
    """What somebody may do."""

    ANYBODY = "anybody"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def reaches(self, needed: Role) -> bool:
        """Say whether who has this role may do what takes another."""
        return _RANKS[self] >= _RANKS[needed]


_RANKS: Final = {role: rank for rank, role in enumerate(Role)}

GRANTED: Final = (Role.VIEWER, Role.OPERATOR, Role.ADMIN)
"""The roles that somebody can be given."""


class Way(enum.Enum):
    """How somebody showed who they are."""

    SOCKET = "socket"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    SESSION = "session"
    CERTIFICATE = "certificate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks.

    Attributes:
        role: what they may do.
        way: how they showed who they are; None: they did not.
        name: the token's or certificate's; of somebody on the socket, "uid" and the number.
        origin: from where: "socket", or an address.
        uid: of somebody on the socket.
    """

    role: Role
    way: Way | None
    name: str
    origin: str
    uid: int | None = None


NOBODY: Final = Caller(role=Role.ANYBODY, way=None, name="nobody", origin="unknown")

NEEDED: Final[Mapping[tuple[str, str], Role]] = MappingProxyType(
    {
        ("GET", "/"): Role.ANYBODY,  # the page and its files hold no data
        ("GET", "/web/{name}"): Role.ANYBODY,
        ("GET", "/web/vendor/{name}"): Role.ANYBODY,
        ("GET", "/v1/openapi.json"): Role.VIEWER,
        ("GET", "/v1/health"): Role.VIEWER,
        ("GET", "/v1/host"): Role.VIEWER,
        ("GET", "/v1/guests"): Role.VIEWER,
        ("GET", "/v1/plan"): Role.VIEWER,
        ("GET", "/v1/guests/{name}"): Role.VIEWER,
        ("GET", "/v1/guests/{name}/explanation"): Role.VIEWER,
        ("GET", "/v1/guests/{name}/history"): Role.VIEWER,
        ("GET", "/v1/host/history"): Role.VIEWER,
        ("GET", "/v1/moves"): Role.VIEWER,
        ("GET", "/v1/audit"): Role.OPERATOR,
        ("GET", "/v1/doctor"): Role.VIEWER,
        ("GET", "/v1/guests/{name}/settings"): Role.VIEWER,
        ("PATCH", "/v1/guests/{name}/settings"): Role.OPERATOR,
        ("POST", "/v1/guests/{name}/pause"): Role.OPERATOR,
        ("POST", "/v1/guests/{name}/resume"): Role.OPERATOR,
        ("POST", "/v1/guests/{name}/admission"): Role.OPERATOR,
        ("DELETE", "/v1/guests/{name}/admission"): Role.OPERATOR,
        ("POST", "/v1/pause"): Role.OPERATOR,
        ("POST", "/v1/resume"): Role.OPERATOR,
        ("GET", "/v1/stream"): Role.VIEWER,
        ("GET", "/metrics"): Role.VIEWER,
        ("GET", "/v1/session"): Role.VIEWER,
        ("POST", "/v1/session"): Role.ANYBODY,
        ("DELETE", "/v1/session"): Role.ANYBODY,
        ("GET", "/v1/tokens"): Role.ADMIN,
        ("POST", "/v1/tokens"): Role.ADMIN,
        ("DELETE", "/v1/tokens/{name}"): Role.ADMIN,
    }
)
"""By method and path, what a route takes. HEAD takes what GET does."""

_FORMS: Final = tuple(
    (method, re.compile("[^/]+".join(re.escape(part) for part in re.split(r"{\w+}", path))), role)
    for (method, path), role in NEEDED.items()
)


def needed_role(method: str, path: str) -> Role:
    """Say what a request takes.

    Args:
        method: in capitals.
        path: as the routes see it, with what was escaped in it unescaped.
    """
    method = "GET" if method == "HEAD" else method
    fitting = (role for verb, form, role in _FORMS if verb == method and form.fullmatch(path))
    return next(fitting, Role.ADMIN)
