"""The API's routes, all under /v1. Each asks the desk and says what it says.

Errors are RFC 9457 problems with a hint. Nothing here decides, waits without an end, or reads more
than a bounded body.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from barostat import __version__
from barostat.config.settings_file import SettingsPatch
from barostat.errors import BarostatError
from barostat.service.admission_routes import admission_router
from barostat.service.answers import ERRORS, answer
from barostat.service.audit import Audit
from barostat.service.dependencies import Asked, Desk, Moment, Name, Told
from barostat.service.desk import LocalDesk
from barostat.service.documents import (
    Change,
    Details,
    Examination,
    Explanation,
    Health,
    Host,
    HostPause,
    Overview,
    SettingsView,
    WrittenSettings,
)
from barostat.service.past_routes import past_router
from barostat.service.problems import input_problem, problem_of, status_problem

__all__ = ["create_app"]

router = APIRouter(prefix="/v1", responses=ERRORS)


@router.get("/health")
async def health(desk: Desk, response: Response) -> Health:
    """Say whether the daemon does its work; 503 if not."""
    found = desk.health()
    response.status_code = 200 if found.healthy else 503
    return found


@router.get("/host")
async def host(desk: Desk) -> Host:
    """Say how the host's memory stands."""
    return await desk.host()


@router.get("/guests")
async def guests(
    desk: Desk, everyone: Annotated[bool, Query(description="Name VMs that are off, too.")] = False
) -> Overview:
    """Say how the host and every VM stand."""
    return await desk.overview(everyone=everyone)


@router.get("/plan")
async def plan(desk: Desk) -> Overview:
    """Say what is done now, or would be by a daemon that only observes, and why."""
    return await desk.overview()


@router.get("/guests/{name}")
async def guest(desk: Desk, name: Name) -> Details:
    """Say all about one VM, running or not."""
    return await desk.details(name)


@router.get("/guests/{name}/explanation")
async def explanation(desk: Desk, name: Name, at_s: Moment = None) -> Explanation:
    """Say in sentences why a VM has the memory it has, or had at a moment."""
    return await desk.explanation(name, at_s=at_s)


@router.get("/doctor")
async def doctor(desk: Desk) -> Examination:
    """Say what the host and its VMs lack for Dynamic Memory, and what to do about it."""
    return await desk.examination()


@router.get("/guests/{name}/settings")
async def settings(desk: Desk, name: Name) -> SettingsView:
    """Say how a VM's settings stand: as written, and in force."""
    return await desk.settings(name)


@router.patch("/guests/{name}/settings")
async def change(desk: Desk, asked: Asked, told: Told, name: Name, patch: SettingsPatch) -> Change:
    """Change a VM's settings: all of what is asked, or nothing."""
    return await _changed(desk, asked, told, name, patch, what="settings")


@router.post("/guests/{name}/pause")
async def pause_guest(desk: Desk, asked: Asked, told: Told, name: Name) -> Change:
    """Hold a VM at the size it has."""
    return await _changed(desk, asked, told, name, SettingsPatch(paused=True), what="pause")


@router.post("/guests/{name}/resume")
async def resume_guest(desk: Desk, asked: Asked, told: Told, name: Name) -> Change:
    """Let a VM be balanced again."""
    return await _changed(desk, asked, told, name, SettingsPatch(paused=False), what="resume")


async def _changed(
    desk: Desk, asked: Asked, told: Told, name: str, patch: SettingsPatch, *, what: str
) -> Change:
    done = await desk.change(name, patch)
    before, after = done.before.written, done.after.written
    await told.changed(asked, what, guest=name, before=_plain(before), after=_plain(after))
    return done


def _plain(written: WrittenSettings | None) -> dict[str, Any] | None:
    return None if written is None else written.model_dump()


@router.post("/pause")
async def pause(desk: Desk, asked: Asked, told: Told) -> HostPause:
    """Hold every VM of the host at the size it has, also after a restart of the daemon."""
    return await _paused(desk, asked, told, paused=True)


@router.post("/resume")
async def resume(desk: Desk, asked: Asked, told: Told) -> HostPause:
    """Let the host's VMs be balanced again; those that are paused one by one stay so."""
    return await _paused(desk, asked, told, paused=False)


async def _paused(desk: Desk, asked: Asked, told: Told, *, paused: bool) -> HostPause:
    done = await desk.pause_host(paused=paused)
    before, after = {"paused": done.before}, {"paused": done.after}
    await told.changed(asked, "pause" if paused else "resume", before=before, after=after)
    return done


def create_app(desk: LocalDesk, audit: Audit | None = None) -> FastAPI:
    """Make the application that answers from a desk.

    It answers everybody: `server.ApiServer` puts a gate before it.

    Args:
        desk: what is asked.
        audit: is told of every change; None: nobody is.
    """
    app = FastAPI(
        title="Barostat",
        version=__version__,
        summary="Dynamic Memory for KVM",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load their assets from elsewhere; a host may be offline
        redoc_url=None,
    )
    app.state.desk, app.state.audit = desk, audit or Audit()
    app.include_router(router)
    app.include_router(admission_router)
    app.include_router(past_router)
    app.exception_handler(BarostatError)(_on_error)
    app.exception_handler(RequestValidationError)(_on_bad_request)
    app.exception_handler(HTTPException)(_on_refusal)
    app.exception_handler(Exception)(_on_fault)
    return app


async def _on_error(_: Request, error: BarostatError) -> Response:
    return answer(problem_of(error))


async def _on_bad_request(request: Request, error: RequestValidationError) -> Response:
    body = getattr(request.scope.get("route"), "body_field", None)
    known = () if body is None else tuple(body.field_info.annotation.model_fields)
    return answer(input_problem(error.errors(), known=known))


async def _on_refusal(_: Request, error: HTTPException) -> Response:
    hint = "/v1/openapi.json describes all that may be asked"
    return answer(status_problem(error.status_code, error.detail, hint=hint))


async def _on_fault(_: Request, __: Exception) -> Response:
    """Say no more than that it is our fault; the server logs it with its traceback."""
    hint = "this is a fault of Barostat's: its log says more"
    return answer(status_problem(500, "the request failed", hint=hint))
