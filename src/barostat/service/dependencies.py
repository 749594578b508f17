"""What routes are given: the desk, who asks, and whom to tell of changes.

All are coroutines: FastAPI takes a thread for each that is none, at every request.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Path, Query, Request

from barostat.service.access import NOBODY, Caller
from barostat.service.audit import Audit
from barostat.service.desk import LocalDesk

__all__ = ["Asked", "Desk", "Moment", "Name", "Told", "caller_of"]


LATEST_S: Final = 1e11
"""In the year 5138; the history's numbers go further."""


async def caller_of(request: Request) -> Caller:
    """Say who asks, as the gate found out; nobody, where there is no gate."""
    found: Caller = request.scope.get("state", {}).get("caller", NOBODY)
    return found


async def _desk(request: Request) -> LocalDesk:
    desk: LocalDesk = request.app.state.desk
    return desk


async def _audit(request: Request) -> Audit:
    audit: Audit = request.app.state.audit
    return audit


Asked = Annotated[Caller, Depends(caller_of)]
Desk = Annotated[LocalDesk, Depends(_desk)]
Told = Annotated[Audit, Depends(_audit)]
Moment = Annotated[
    float | None, Query(ge=0, le=LATEST_S, allow_inf_nan=False, description="Seconds since 1970.")
]
Name = Annotated[str, Path(min_length=1, max_length=255, description="A VM's name.")]
