"""A real daemon followed over its socket: by its stream, by asking, and through its restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.service.conftest import Daemon, make_daemon

from barostat.errors import BarostatError, NoDaemonError, ServiceError
from barostat.service.client import open_daemon
from barostat.service.desk import LocalDesk
from barostat.tui import following
from barostat.tui.following import Seen, follow


@pytest.fixture
async def daemon(tmp_path: Path) -> Daemon:
    """A daemon that has looked once."""
    made = make_daemon(tmp_path)
    await made.look()
    return made


Looks = AsyncGenerator[Seen | BarostatError, None]


async def seen(looks: Looks) -> Seen:
    found = await anext(looks)
    assert isinstance(found, Seen)
    return found


async def test_every_pass_comes_from_the_stream(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY_S", 3600)  # nobody asks
    async with (
        daemon.serving(),
        open_daemon(daemon.socket) as desk,
        aclosing(follow(desk)) as looks,
    ):
        assert {guest.name for guest in (await seen(looks)).overview.guests} == {"web", "db"}
        daemon.control.moving = False
        await daemon.look()
        assert not (await seen(looks)).overview.host.moving


async def test_a_daemon_without_a_stream_is_asked(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY_S", 0)
    daemon.stream.listeners = 10_000  # none of them is us: there is no room
    async with (
        daemon.serving(),
        open_daemon(daemon.socket) as desk,
        aclosing(follow(desk)) as looks,
    ):
        with pytest.raises(ServiceError, match="listen already"):
            await anext(desk.passes())
        assert len((await seen(looks)).overview.guests) == 2
        assert len((await seen(looks)).overview.guests) == 2


async def test_a_daemon_that_is_restarted_is_lost_and_found(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "EVERY_S", 0)
    async with daemon.serving():
        desk = await (opened := open_daemon(daemon.socket)).__aenter__()
        looks = follow(desk)
        await seen(looks)

    found = await anext(looks)
    while not isinstance(found, NoDaemonError):  # what was on its way still comes
        found = await anext(looks)
    assert str(daemon.socket) in found.message

    again = make_daemon(tmp_path)
    await again.look()
    async with again.serving():
        async with asyncio.timeout(10):
            while not isinstance(await anext(looks), Seen):
                pass
        await looks.aclose()
    await opened.__aexit__(None, None, None)


async def test_a_direct_look_is_asked(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "EVERY_S", 0)
    async with aclosing(follow(LocalDesk(daemon.control))) as looks:
        assert len((await seen(looks)).overview.guests) == 2
        assert (await seen(looks)).box is None
