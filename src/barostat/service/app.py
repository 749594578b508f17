"""The API's routes, all under /v1. Each asks the desk and says what it says.

Errors are RFC 9457 problems with a hint. Nothing here decides, waits without an end, or reads more
than a bounded body.
"""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from barostat import __version__
from barostat.config.settings_file import SettingsPatch
from barostat.errors import BarostatError
from barostat.service.bodies import BoundedBodies
from barostat.service.desk import LocalDesk
from barostat.service.documents import (
    Change,
    Details,
    Explanation,
    Health,
    Host,
    HostPause,
    Overview,
    Problem,
    SettingsView,
)
from barostat.service.problems import MEDIA_TYPE, input_problem, problem_of, status_problem

__all__ = ["create_app"]

ERRORS: Final = {
    status: {"model": Problem, "description": "An error, as application/problem+json."}
    for status in ("4XX", "5XX", 422)
}

router = APIRouter(prefix="/v1", responses=ERRORS)


def _desk(request: Request) -> LocalDesk:
    desk: LocalDesk = request.app.state.desk
    return desk


Desk = Annotated[LocalDesk, Depends(_desk)]
Name = Annotated[str, Path(min_length=1, max_length=255, description="A VM's name.")]


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
async def explanation(desk: Desk, name: Name) -> Explanation:
    """Say in sentences why a VM has the memory it has."""
    return await desk.explanation(name)


@router.get("/guests/{name}/settings")
async def settings(desk: Desk, name: Name) -> SettingsView:
    """Say how a VM's settings stand: as written, and in force."""
    return await desk.settings(name)


@router.patch("/guests/{name}/settings")
async def change(desk: Desk, name: Name, patch: SettingsPatch) -> Change:
    """Change a VM's settings: all of what is asked, or nothing."""
    return await desk.change(name, patch)


@router.post("/guests/{name}/pause")
async def pause_guest(desk: Desk, name: Name) -> Change:
    """Hold a VM at the size it has."""
    return await desk.change(name, SettingsPatch(paused=True))


@router.post("/guests/{name}/resume")
async def resume_guest(desk: Desk, name: Name) -> Change:
    """Let a VM be balanced again."""
    return await desk.change(name, SettingsPatch(paused=False))


@router.post("/pause")
async def pause(desk: Desk) -> HostPause:
    """Hold every VM of the host at the size it has, also after a restart of the daemon."""
    return await desk.pause_host(paused=True)


@router.post("/resume")
async def resume(desk: Desk) -> HostPause:
    """Let the host's VMs be balanced again; those that are paused one by one stay so."""
    return await desk.pause_host(paused=False)


def create_app(desk: LocalDesk) -> FastAPI:
    """Make the application that answers from a desk."""
    app = FastAPI(
        title="Barostat",
        version=__version__,
        summary="Dynamic Memory for KVM",
        openapi_url="/v1/openapi.json",
        docs_url=None,  # these pages load their assets from elsewhere; a host may be offline
        redoc_url=None,
    )
    app.state.desk = desk
    app.include_router(router)
    app.add_middleware(BoundedBodies)
    app.exception_handler(BarostatError)(_on_error)
    app.exception_handler(RequestValidationError)(_on_bad_request)
    app.exception_handler(HTTPException)(_on_refusal)
    app.exception_handler(Exception)(_on_fault)
    return app


def _answer(problem: Problem) -> Response:
    return Response(problem.model_dump_json(), status_code=problem.status, media_type=MEDIA_TYPE)


async def _on_error(_: Request, error: BarostatError) -> Response:
    return _answer(problem_of(error))


async def _on_bad_request(_: Request, error: RequestValidationError) -> Response:
    return _answer(input_problem(error.errors()))


async def _on_refusal(_: Request, error: HTTPException) -> Response:
    hint = "/v1/openapi.json describes all that may be asked"
    return _answer(status_problem(error.status_code, error.detail, hint=hint))


async def _on_fault(_: Request, __: Exception) -> Response:
    """Say no more than that it is our fault; the server logs it with its traceback."""
    hint = "this is a fault of Barostat's: its log says more"
    return _answer(status_problem(500, "the request failed", hint=hint))
