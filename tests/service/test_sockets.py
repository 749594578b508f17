"""The socket: who may connect, what a dead daemon leaves, and what a live one keeps."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import signal
import socket
import stat
from pathlib import Path

import pytest

from barostat.errors import DeniedError, NoDaemonError, ServiceError, first_fault
from barostat.service import sockets
from barostat.service.client import open_daemon

from .conftest import Daemon


async def test_owner_and_group_may_connect_and_nobody_else(daemon: Daemon) -> None:
    group = grp.getgrgid(os.getegid()).gr_name

    async with daemon.serving(group=group):
        status, folder = daemon.socket.stat(), daemon.socket.parent.stat()

    assert stat.S_IMODE(status.st_mode) == 0o660
    assert status.st_gid == os.getegid()
    assert stat.S_IMODE(folder.st_mode) == 0o750


async def test_without_a_group_only_the_owner_may_connect(daemon: Daemon) -> None:
    async with daemon.serving():
        assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600


async def test_a_group_that_does_not_exist_is_an_error(daemon: Daemon) -> None:
    assert "groupadd --system no-such-group" in (await failing(daemon, "no-such-group")).hint


async def failing(daemon: Daemon, group: str | None = None) -> ServiceError:
    with pytest.raises(ExceptionGroup) as caught:
        async with daemon.serving(group=group):
            pass
    error = first_fault(caught.value)
    assert isinstance(error, ServiceError)
    return error


async def test_the_socket_is_gone_when_the_server_ends(daemon: Daemon) -> None:
    async with daemon.serving():
        assert daemon.socket.exists()

    assert not daemon.socket.exists()


async def test_a_socket_that_a_dead_daemon_left_is_replaced(daemon: Daemon) -> None:
    daemon.socket.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(daemon.socket))

    async with daemon.serving(), open_daemon(daemon.socket, deadline_s=5) as desk:
        assert (await desk.overview()).guests


async def test_a_live_daemons_socket_is_left_alone(daemon: Daemon) -> None:
    async with daemon.serving():
        error = await failing(daemon)
        async with open_daemon(daemon.socket, deadline_s=5) as desk:
            assert (await desk.overview()).guests

    assert "another daemon listens" in error.message


async def test_what_is_no_socket_is_left_alone(daemon: Daemon) -> None:
    daemon.socket.parent.mkdir()
    daemon.socket.write_text("precious")

    error = await failing(daemon)

    assert "it is no socket" in error.message
    assert daemon.socket.read_text() == "precious"


async def test_a_path_too_long_for_a_socket_is_an_error(daemon: Daemon) -> None:
    daemon.socket = daemon.folder / ("x" * 110)

    assert "at most 107 bytes" in (await failing(daemon)).hint


async def test_a_socket_that_another_daemon_took_over_is_not_removed(daemon: Daemon) -> None:
    async with daemon.serving():
        daemon.socket.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(daemon.socket))

    assert daemon.socket.exists()


async def test_signals_are_left_to_the_daemon(daemon: Daemon) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    async with daemon.serving():
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


async def test_a_cancelled_server_takes_its_socket_with_it(daemon: Daemon) -> None:
    server = daemon.server()
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(server.run(asyncio.Event()))
        await server.ready.wait()
        serving.cancel()

    with pytest.raises(NoDaemonError):
        sockets.check_answering(daemon.socket)
    assert not daemon.socket.exists()


@pytest.mark.parametrize("name", ["absent", "file/below"])
async def test_where_no_daemon_runs_there_is_none(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NoDaemonError, match="no daemon runs at"):
        sockets.check_answering(tmp_path / name)


async def test_who_may_not_connect_is_told_which_group_may(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    path.touch()

    error = sockets._trouble(path, PermissionError(13, "Permission denied"))

    assert isinstance(error, DeniedError)
    group = grp.getgrgid(path.stat().st_gid).gr_name
    assert f'group "{group}"' in error.message
    assert f"usermod -aG {group} " in error.hint


async def test_a_daemon_that_hangs_is_given_up_after_a_deadline(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hung:
        hung.bind(str(tmp_path / "hung.sock"))
        hung.listen()

        async with open_daemon(tmp_path / "hung.sock", deadline_s=0.1) as desk:
            with pytest.raises(ServiceError, match=r"did not answer within 0\.1 s") as looked:
                await desk.overview()
            with pytest.raises(ServiceError) as changed:
                await desk.pause_host(paused=True)

    assert "not known" not in looked.value.hint
    assert "whether the change was made is not known" in changed.value.hint


@pytest.mark.parametrize(
    "words", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"]
)
async def test_what_is_no_daemon_of_ours_is_told(tmp_path: Path, words: bytes) -> None:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):  # who only looks whether it is there has gone
            writer.write(words)
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(answer, str(tmp_path / "other.sock"))
    async with server, open_daemon(tmp_path / "other.sock", deadline_s=5) as desk:
        with pytest.raises(ServiceError, match=r"did not answer as|cannot be read"):
            await desk.overview()
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "other.sock"))
        await reader.read()  # by now all who came before have been let go
        writer.close()
