"""Whatever answers at the socket of a guest's qemu-guest-agent: it costs a clear error at most."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.contract.test_qemu_answers import playing

from barostat.errors import (
    DeadlineError,
    GuestGoneError,
    RefusedError,
    UnknownGuestError,
    UnreachableError,
)
from barostat.hypervisors import qga_socket
from barostat.hypervisors.guest_agent import LARGEST_ANSWER_BYTES
from barostat.hypervisors.qga_socket import GuestAgentSocket

TIMEOUT_S = 0.3
PARSE_ERROR = b'{"error": {"class": "GenericError", "desc": "JSON parse error"}}\n'

Reply = Callable[[str, bytes], bytes | None]
"""Given a command and the echo that a sync is owed: what to say, None to hang up."""


def honest(_command: str, echo: bytes) -> bytes:
    return PARSE_ERROR + b"\xff" + echo if echo else b'{"return": {"version": "7.2.22"}}\n'


def after_sync(words: bytes) -> Reply:
    return lambda command, echo: honest(command, echo) if echo else words


def always(words: bytes | None) -> Reply:
    return lambda _command, _echo: words


@dataclass
class Agent:
    """A played agent, as the socket of a QEMU is: one client at a time."""

    reply: Reply
    commands: list[str] = field(default_factory=list)
    clients: int = 0
    connected: int = 0
    alone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.clients += 1
        self.connected += 1
        self.alone.clear()
        try:
            while line := await reader.readline():
                said = self.reply(*self.hear(line))
                if said is None:
                    break
                writer.write(said)
        except ConnectionError:
            pass
        finally:
            self.connected -= 1
            self.alone.set()
            writer.close()

    def hear(self, line: bytes) -> tuple[str, bytes]:
        asked = json.loads(line.removeprefix(b"\xff"))
        self.commands.append(asked["execute"])
        if asked["execute"] != "guest-sync-delimited":
            return asked["execute"], b""
        assert line.startswith(b"\xff")
        return asked["execute"], json.dumps({"return": asked["arguments"]["id"]}).encode() + b"\n"


@asynccontextmanager
async def served(path: Path, reply: Reply) -> AsyncIterator[tuple[Agent, GuestAgentSocket]]:
    agent = Agent(reply)
    agent.alone.set()
    server = await asyncio.start_unix_server(agent.serve, str(path))
    client = GuestAgentSocket("web", path)
    try:
        yield agent, client
    finally:
        client.close()
        server.close()
        async with asyncio.timeout(2):
            await agent.alone.wait()


async def info(client: GuestAgentSocket) -> object:
    return await client.ask("guest-info", {}, timeout_s=TIMEOUT_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.qga"


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task's exception is left for the garbage collector to complain of."""
    yield
    gc.collect()
    assert [r.message for r in caplog.records if r.name == "asyncio"] == []


async def test_a_session_is_brought_into_step_once_and_then_carries_commands(path: Path) -> None:
    async with served(path, honest) as (agent, client):
        answers = [await info(client) for _ in range(3)]

    assert answers == [{"version": "7.2.22"}] * 3
    assert agent.commands == ["guest-sync-delimited", *["guest-info"] * 3]
    assert agent.clients == 1


async def test_what_was_said_to_somebody_else_is_skipped(path: Path) -> None:
    stale = b'{"return": "late"}\n{"retu' + b"\xff" + b'{"return": 7}\n' + b"\xff{nonsense\n"

    def reply(command: str, echo: bytes) -> bytes:
        return stale + honest(command, echo) if echo else honest(command, echo)

    async with served(path, reply) as (_, client):
        answer = await info(client)

    assert answer == {"version": "7.2.22"}


async def test_commands_of_several_are_asked_one_after_the_other(path: Path) -> None:
    async with served(path, honest) as (agent, client):
        answers = await asyncio.gather(*(info(client) for _ in range(5)))

    assert answers == [{"version": "7.2.22"}] * 5
    assert agent.clients == 1


async def test_the_socket_is_left_to_others_a_moment_after_the_last_command(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qga_socket, "IDLE_S", 0.05)
    async with served(path, honest) as (agent, client):
        await info(client)
        held = agent.connected
        await asyncio.sleep(0.15)
        left = agent.connected
        again = await info(client)

    assert (held, left) == (1, 0)
    assert again == {"version": "7.2.22"}
    assert agent.clients == 2


async def test_a_command_that_is_refused_says_why_in_plain_characters(path: Path) -> None:
    why = json.dumps({"error": {"class": "GenericError", "desc": "no\x1b[2J\n" + "é" * 500}})
    async with served(path, after_sync(why.encode() + b"\n")) as (agent, client):
        with pytest.raises(RefusedError) as refused:
            await info(client)
        with pytest.raises(RefusedError):
            await info(client)

    assert "guest-info" in refused.value.message
    assert refused.value.message.isascii()
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 250
    assert refused.value.hint
    assert agent.clients == 1  # an answer it is


async def test_an_answer_that_comes_late_is_not_taken_for_another_one(path: Path) -> None:
    late = asyncio.Event()

    def reply(command: str, echo: bytes) -> bytes:
        if echo or late.is_set():
            return honest(command, echo)
        late.set()
        return b""

    async with served(path, reply) as (agent, client):
        with pytest.raises(DeadlineError) as silent:
            await info(client)
        answer = await info(client)

    assert silent.value.hint
    assert answer == {"version": "7.2.22"}
    assert agent.commands == ["guest-sync-delimited", "guest-info"] * 2


@pytest.mark.parametrize(
    "reply",
    [
        always(b""),
        always(b"\xff"),
        always(b'\xff{"return": 1'),
        always(b'\xff{"return": 1}\n'),
        always(b'\xff{"error": {}}\n'),
        after_sync(b""),
        after_sync(b'{"return": '),
    ],
    ids=["silence", "mark", "half echo", "other echo", "error", "mute after", "half a line"],
)
async def test_what_does_not_answer_in_time_is_given_up(path: Path, reply: Reply) -> None:
    began_s = time.monotonic()
    async with served(path, reply) as (agent, client):
        with pytest.raises(DeadlineError):
            await info(client)
        took_s = time.monotonic() - began_s
        await asyncio.sleep(0.05)
        left = agent.connected

    assert took_s < TIMEOUT_S + 0.3
    assert left == 0


@pytest.mark.parametrize(
    "reply",
    [
        always(b"x" * (3 * LARGEST_ANSWER_BYTES)),
        always((b"\xff" + b"x" * 60_000 + b"\n") * 60),
        after_sync(b"x" * (3 * LARGEST_ANSWER_BYTES) + b"\n"),
        after_sync(b"garbage\n"),
        after_sync(b"\xff\xfe\n"),
        after_sync(b"\n"),
        after_sync(b"7\n"),
        after_sync(b"[]\n"),
        after_sync(b"{}\n"),
        after_sync(b'{"error": 7}\n'),
        after_sync(b'{"error": {"desc": 7}}\n'),
        after_sync(b"[" * 100_000 + b"\n"),
        after_sync(b'{"return": ' + b"[" * 100_000 + b"\n"),
    ],
    ids=lambda _: "",
)
async def test_what_answers_as_no_agent_does_is_told_to_be_none(path: Path, reply: Reply) -> None:
    async with served(path, reply) as (_, client):
        with pytest.raises(UnreachableError) as strange:
            await client.ask("guest-info", {}, timeout_s=5)

    assert "no qemu-guest-agent" in strange.value.message
    assert strange.value.hint


@pytest.mark.parametrize("reply", [always(None), lambda c, e: honest(c, e) if e else None])
async def test_what_hangs_up_is_gone_and_tried_again(path: Path, reply: Reply) -> None:
    async with served(path, reply) as (agent, client):
        with pytest.raises(GuestGoneError):
            await info(client)
        with pytest.raises(GuestGoneError) as gone:
            await info(client)

    assert gone.value.hint
    assert agent.clients == 2


async def test_a_socket_that_is_not_there_or_left_behind_is_no_agent(path: Path) -> None:
    client = GuestAgentSocket("web", path)
    with pytest.raises(RefusedError, match="nobody listens"):
        await info(client)
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with pytest.raises(RefusedError, match="nobody listens") as refused:
        await info(client)

    assert "install" in refused.value.hint


async def test_a_socket_that_others_hold_and_wait_for_is_no_agent_now(path: Path) -> None:
    client = GuestAgentSocket("web", path)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as other:
        server.bind(str(path))
        server.listen(0)
        other.connect(str(path))

        with pytest.raises(RefusedError, match="other programs"):
            await info(client)


async def test_a_socket_that_cannot_be_connected_to_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot be connected to") as failed:
        await info(GuestAgentSocket("web", tmp_path / ("x" * 200)))

    assert failed.value.hint


async def test_a_guest_that_may_not_be_spoken_to_says_who_may(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(socket.socket, "connect", deny)
    with pytest.raises(UnreachableError) as failed:
        await info(GuestAgentSocket("web", path))

    assert "root" in failed.value.hint


async def test_the_agent_of_a_qmp_guest_is_behind_the_socket_beside_its_own(
    tmp_path: Path,
) -> None:
    async with playing(tmp_path / "web.qmp") as stage:
        await stage.look()
        with pytest.raises(RefusedError):
            await stage.hypervisor.ask_guest_agent("web", "guest-info", {}, timeout_s=TIMEOUT_S)
        async with served(tmp_path / "web.qga", honest) as (agent, _):
            answer = await stage.hypervisor.ask_guest_agent(
                "web", "guest-info", {}, timeout_s=TIMEOUT_S
            )
            held = agent.connected
            await stage.hypervisor.close()
        with pytest.raises(UnknownGuestError):
            await stage.hypervisor.ask_guest_agent("web", "guest-info", {}, timeout_s=TIMEOUT_S)

    assert held == 1
    assert answer == {"version": "7.2.22"}
