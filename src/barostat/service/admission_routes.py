"""The API's routes for VMs that are about to start: may one, and it will not after all.

A request is answered when the answer is known, in the time that it gives: a client waits for it,
and one that goes away costs no more than what is set aside for a while.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from barostat.core.settings import LARGEST_WEIGHT
from barostat.service.answers import ERRORS
from barostat.service.dependencies import Asked, Desk, Name, Told
from barostat.service.documents import Release, Start
from barostat.units import TIB

__all__ = ["LONGEST_WAIT_S", "admission_router"]

LONGEST_WAIT_S: Final = 600.0
"""A VM of many GiB is made room for in a minute or two; nobody should wait for a stuck one."""

admission_router = APIRouter(prefix="/v1/guests/{name}/admission", responses=ERRORS)


class Admission(BaseModel):
    """What is asked for a VM that is about to start."""

    model_config = ConfigDict(extra="forbid", strict=True)

    size_bytes: Annotated[int, Field(ge=0, le=1024 * TIB)] | None = Field(
        default=None, description="What it takes; null: as its hypervisor or its settings say."
    )
    weight: Annotated[int, Field(ge=0, le=LARGEST_WEIGHT)] | None = Field(
        default=None, description="Its rank when memory is short; null: as its settings say."
    )
    timeout_s: float = Field(
        default=30.0,
        ge=0,
        le=LONGEST_WAIT_S,
        allow_inf_nan=False,
        description="How long others may take to give what is missing.",
    )


@admission_router.post("")
async def admit(desk: Desk, asked: Asked, told: Told, name: Name, wanted: Admission) -> Start:
    """Wait until a VM may start, and set its memory aside; or say how much there is."""
    done = await desk.admit(
        name, size_bytes=wanted.size_bytes, weight=wanted.weight, timeout_s=wanted.timeout_s
    )
    after = {"outcome": done.outcome.value, "size_bytes": done.size_bytes}
    await told.changed(asked, "admit", guest=name, before=None, after=after)
    return done


@admission_router.delete("")
async def release(desk: Desk, asked: Asked, told: Told, name: Name) -> Release:
    """Give up what is set aside for a VM that will not start."""
    done = desk.release(name)
    before: dict[str, Any] | None = None
    if done.released_bytes is not None:
        before = {"size_bytes": done.released_bytes}
    await told.changed(asked, "release", guest=name, before=before, after=None)
    return done
