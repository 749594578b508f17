"""Whatever answers at a socket, it costs a clear error, and its neighbours nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from barostat.errors import GuestGoneError, UnknownGuestError, UnreachableError
from barostat.hypervisors import qmp_link, qmp_socket
from barostat.hypervisors.base import BalloonWish
from barostat.hypervisors.qmp import QmpHypervisor

GREETING = b'{"QMP": {"version": {"qemu": {"major": 9}}, "capabilities": []}}\n'

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(path: Path, serve: Serve) -> AsyncIterator[None]:
    server = await asyncio.start_unix_server(serve, str(path))
    try:
        yield
    finally:
        server.close()


def saying(words: bytes, *, then_close: bool = False) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(words)
        if not then_close:
            await reader.read()
        writer.close()

    return serve


def answering(reply: bytes) -> Serve:
    """Greet, accept the negotiation, then answer everything the same."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        first = True
        while command := await reader.read(65536):  # each comes alone, and without a newline
            number = command.partition(b'"id":"')[2].partition(b'"')[0]
            ok = b'{"return": {}}\n' if first else reply.replace(b"ID", number)
            writer.write(ok)
            first = False
        writer.close()

    return serve


@pytest.fixture(autouse=True)
def short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp_link, "CONNECT_DEADLINE_S", 0.2)
    monkeypatch.setattr(qmp_socket, "FIRST_ATTEMPT_S", 0.5)


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task's exception is left for the garbage collector to complain of."""
    yield
    gc.collect()
    assert [r.message for r in caplog.records if r.name == "asyncio"] == []


async def fault_of(path: Path) -> UnreachableError:
    hypervisor = QmpHypervisor(directory=path.parent)
    try:
        assert list(await hypervisor.observe(now_s=0.0)) == []
        fault = hypervisor.faults[path.stem]
        with pytest.raises(UnreachableError):
            await hypervisor.devices(path.stem)
    finally:
        await hypervisor.close()
    assert isinstance(fault, UnreachableError)
    assert str(path) in fault.message
    assert fault.hint
    return fault


@pytest.mark.trust("input", "what listens at a QMP socket speaks something else")
@pytest.mark.parametrize(
    "words",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"{not json}\n",
        b"\xff\xfe\xfd\n",
        b"[1, 2, 3]\n",
        b'{"hello": "world"}\n',
        b'{"QMP": 7}\n',
        b"[" * 100_000 + b"\n",
        b"x" * (3 * qmp_link.LARGEST_LINE_BYTES) + b"\n",
        GREETING + b'{"error": {"class": "GenericError", "desc": "no"}}\n',
        GREETING + b"what?\n",
    ],
    ids=lambda words: repr(words[:20]),
)
async def test_what_does_not_speak_qmp_is_told_to_be_no_qmp(tmp_path: Path, words: bytes) -> None:
    path = tmp_path / "web.qmp"
    async with serving(path, saying(words)):
        fault = await fault_of(path)

    assert "is not QMP" in fault.message


@pytest.mark.trust("input", "what listens at a QMP socket hangs up")
@pytest.mark.parametrize("words", [b"", GREETING[:20], GREETING])
async def test_what_hangs_up_before_it_has_greeted_is_told_to(tmp_path: Path, words: bytes) -> None:
    path = tmp_path / "web.qmp"
    async with serving(path, saying(words, then_close=True)):
        fault = await fault_of(path)

    assert "is not QMP" in fault.message


@pytest.mark.trust("input", "what listens at a QMP socket stays silent")
@pytest.mark.parametrize("words", [b"", GREETING[:20], GREETING])
async def test_what_stays_silent_is_told_to_be_busy_or_hung(tmp_path: Path, words: bytes) -> None:
    path = tmp_path / "web.qmp"
    async with serving(path, saying(words)):
        fault = await fault_of(path)

    assert "no QMP greeting" in fault.message
    assert "serves one client" in fault.hint


@pytest.mark.trust("doubt", "a QEMU hangs while the daemon starts")
async def test_what_has_not_answered_by_the_first_look_is_told_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qmp_socket, "FIRST_ATTEMPT_S", 0.01)
    path = tmp_path / "web.qmp"
    async with serving(path, saying(b"")):
        fault = await fault_of(path)

    assert "has not answered" in fault.message


@pytest.mark.trust("input", "a QMP socket takes no more connections")
async def test_a_socket_whose_backlog_is_full_is_told_to_be_busy(tmp_path: Path) -> None:
    path = tmp_path / "web.qmp"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as other:
        server.bind(str(path))
        server.listen(0)
        other.connect(str(path))

        fault = await fault_of(path)

    assert "serves one client" in fault.hint


@pytest.mark.trust("input", "what speaks QMP is no VM")
@pytest.mark.parametrize(
    "reply",
    [
        b'{"id": "ID", "error": {"class": "CommandNotFound", "desc": "no such command"}}\n',
        b'{"id": "ID", "return": "nonsense"}\n',
        b'{"id": "ID", "return": {"base-memory": "much"}}\n',
        b'{"id": "ID", "return": []}\n',
        b'{"id": "ID"}\n',
        b'{"id": "ID", "error": "no"}\n',
    ],
)
async def test_what_speaks_qmp_but_is_no_vm_is_told_so(tmp_path: Path, reply: bytes) -> None:
    path = tmp_path / "web.qmp"
    async with serving(path, answering(reply)):
        fault = await fault_of(path)

    assert "QEMU" in fault.message + fault.hint


@pytest.mark.trust("input", "what speaks QMP breaks off")
@pytest.mark.parametrize("reply", [b"garbage\n", b'{"error": {"class": "X", "desc": "y"}}\n'])
async def test_what_breaks_off_while_it_is_looked_over_is_no_guest(
    tmp_path: Path, reply: bytes
) -> None:
    path = tmp_path / "web.qmp"
    hypervisor = QmpHypervisor(directory=tmp_path)
    async with serving(path, answering(reply)):
        seen = await hypervisor.observe(now_s=0.0)
        await hypervisor.close()

    assert list(seen) == []


async def test_a_socket_that_nobody_listens_at_is_no_guest_and_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "web.qmp"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    hypervisor = QmpHypervisor(directory=tmp_path)

    seen = await hypervisor.observe(now_s=0.0)

    assert list(seen) == []
    assert isinstance(hypervisor.faults["web"], GuestGoneError)
    with pytest.raises(UnknownGuestError):
        await hypervisor.request("web", BalloonWish(target_bytes=1))
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []
    await hypervisor.close()


async def test_a_fault_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "web.qmp"
    hypervisor = QmpHypervisor(directory=tmp_path)
    async with serving(path, saying(b"no\n", then_close=True)):
        for _ in range(8):
            await hypervisor.observe(now_s=0.0)
            await asyncio.sleep(0.1)  # longer than the first pauses: it is tried again
        await hypervisor.close()

    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == 1
    assert "-qmp unix:" in told[0]


@pytest.mark.trust("neighbours", "what listens at a QMP socket stays silent")
async def test_a_socket_that_failed_delays_no_later_look(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    hypervisor = QmpHypervisor(directory=tmp_path)
    async with serving(tmp_path / "web.qmp", saying(b"")):
        await hypervisor.observe(now_s=0.0)
        slowest_s = 0.0
        for _ in range(6):
            began_s = loop.time()
            await hypervisor.observe(now_s=0.0)
            slowest_s = max(slowest_s, loop.time() - began_s)
            await asyncio.sleep(0.1)
        await hypervisor.close()

    assert slowest_s < 0.1


async def test_a_folder_that_never_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="nowhere") as missing:
        await QmpHypervisor(directory=tmp_path / "nowhere").observe(now_s=0.0)

    assert missing.value.hint


async def test_only_sockets_that_are_not_the_labs_are_looked_at(tmp_path: Path) -> None:
    (tmp_path / "notes.qmp").write_text("a file")
    (tmp_path / "folder.qmp").mkdir()
    hypervisor = QmpHypervisor(directory=tmp_path)
    async with (
        serving(tmp_path / "web.lab.qmp", saying(b"")),
        serving(tmp_path / "web.sock", saying(b"")),
    ):
        seen = await hypervisor.observe(now_s=0.0)
        faults = dict(hypervisor.faults)
        await hypervisor.close()

    assert (list(seen), faults) == ([], {})


async def test_a_named_socket_that_is_not_there_is_a_fault_that_says_so(tmp_path: Path) -> None:
    hypervisor = QmpHypervisor(sockets={"web": tmp_path / "web.sock"})

    seen = await hypervisor.observe(now_s=0.0)

    assert list(seen) == []
    assert "nobody listens" in hypervisor.faults["web"].message
    assert "start the VM" in hypervisor.faults["web"].hint
    await hypervisor.close()


@pytest.mark.trust("input", "a path is too long for a socket")
async def test_a_path_too_long_for_a_socket_is_a_fault_that_says_so(tmp_path: Path) -> None:
    hypervisor = QmpHypervisor(sockets={"web": tmp_path / ("x" * 200)})

    await hypervisor.observe(now_s=0.0)

    assert "cannot be connected to" in hypervisor.faults["web"].message
    await hypervisor.close()
