"""What was, over a socket: samples, decisions, changes, and a past decision made again."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio
from fastapi import FastAPI

from barostat.service.app import create_app
from barostat.service.client import open_daemon
from barostat.service.desk import LocalDesk
from barostat.units import MIB

from .conftest import Daemon, make_daemon
from .test_api import assert_problem


@pytest_asyncio.fixture
async def past(tmp_path: Path) -> AsyncIterator[tuple[Daemon, httpx2.AsyncClient]]:
    """A daemon that was looked at and changed, and has written it down."""
    daemon = make_daemon(tmp_path)
    async with daemon.serving(), daemon.client() as client:
        for weight in (1, 2):
            await daemon.look()
            await client.patch("/v1/guests/web/settings", json={"weight": weight})
        await daemon.look()
        assert await daemon.history.settled(timeout_s=10)
        yield daemon, client


async def test_what_a_guest_had_is_told(past: tuple[Daemon, httpx2.AsyncClient]) -> None:
    _, client = past

    minute = f"since_s={time.time() - 60}"

    found = (await client.get(f"/v1/guests/web/history?{minute}")).json()

    assert found["guest"] == "web"
    assert sum(sample["looks"] for sample in found["samples"]) >= 1
    assert found["samples"][0]["assigned_bytes"] == 512 * MIB
    host = (await client.get(f"/v1/host/history?{minute}")).json()
    assert host["samples"][0]["capacity_bytes"] == 4096 * MIB


async def test_what_was_decided_is_told_with_reasons(
    past: tuple[Daemon, httpx2.AsyncClient],
) -> None:
    _, client = past

    everyone = (await client.get("/v1/moves")).json()["decisions"]
    web = (await client.get("/v1/moves?guest=web&limit=1")).json()["decisions"]

    assert {decision["guest"] for decision in everyone} == {"db", "web"}
    assert [decision["guest"] for decision in web] == ["web"]
    assert web[0]["reasons"][0]["sentence"]


async def test_who_changed_what_is_told(past: tuple[Daemon, httpx2.AsyncClient]) -> None:
    _, client = past

    changes = (await client.get("/v1/audit")).json()["changes"]

    assert [change["what"] for change in changes] == ["settings", "settings"]
    assert [change["after"]["weight"] for change in changes] == [1, 2]
    assert changes[0]["guest"] == "web"
    assert "uid" in changes[0]["who"]


async def test_why_a_guest_had_what_it_had_is_told_of_a_moment(
    past: tuple[Daemon, httpx2.AsyncClient],
) -> None:
    daemon, client = past
    now_s = time.time()

    found = (await client.get(f"/v1/guests/web/explanation?at_s={now_s}")).json()
    async with open_daemon(daemon.socket) as desk:
        explained = await desk.explanation("web", at_s=now_s)
        series = await desk.history("web", since_s=now_s - 60, until_s=now_s, points=10)

    assert abs(found["at_s"] - now_s) < 10
    assert found["sentences"][0].startswith("web has 512 MiB")
    assert explained.model_dump(mode="json") == found
    assert series.guest == "web"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/guests/nobody/history", 404),
        ("/v1/moves?guest=nobody", 404),
        ("/v1/guests/web/explanation?at_s=5", 404),
        ("/v1/guests/nobody/explanation?at_s=1e10", 404),
        ("/v1/guests/web/history?since_s=5&until_s=4", 400),
        ("/v1/guests/web/history?since_s=nan", 422),
        ("/v1/guests/web/history?since_s=-1", 422),
        ("/v1/guests/web/history?points=0", 422),
        ("/v1/moves?limit=100000", 422),
        ("/v1/audit?until_s=1e300", 422),
    ],
)
async def test_what_cannot_be_answered_is_told_why(
    past: tuple[Daemon, httpx2.AsyncClient], path: str, status: int
) -> None:
    _, client = past

    assert_problem(await client.get(path), status)


async def test_without_a_history_it_says_how_to_keep_one(daemon: Daemon) -> None:
    daemon.app = lambda: create_bare(daemon)  # type: ignore[method-assign]
    async with daemon.serving(), daemon.client() as client:
        for path in ("/v1/guests/web/history", "/v1/guests/web/explanation?at_s=5", "/v1/audit"):
            assert_problem(await client.get(path), 404, "no history is kept", "[history]")


def create_bare(daemon: Daemon) -> FastAPI:
    return create_app(LocalDesk(daemon.control))


async def test_doctor_is_asked_and_remembers_for_some_seconds(api: httpx2.AsyncClient) -> None:
    first, second = [(await api.get("/v1/doctor")).json() for _ in range(2)]

    assert isinstance(first["blocks"], bool)
    assert {"subject", "check", "level", "says", "remedy"} == set(first["findings"][0])
    assert {"host", "web", "db"} <= {finding["subject"] for finding in first["findings"]}
    assert first == second


async def test_health_says_what_is_wrong_with_the_history_and_that_all_else_is_well(
    tmp_path: Path,
) -> None:
    daemon = make_daemon(tmp_path)
    path = tmp_path / "lib" / "history.db"
    path.mkdir(parents=True)  # a folder, where the database should be
    async with daemon.serving(), daemon.client() as client:
        await daemon.look()
        await daemon.history.settled(timeout_s=0.5)
        said = (await client.get("/v1/health")).json()

    assert said["healthy"]
    assert str(path) in said["history"]
