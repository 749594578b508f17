"""The host's end of a guest's shell and of its forwarded ports, with no guest at the other."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from barostat.errors import LabError
from barostat.lab.forwards import open_forward
from barostat.lab.shell import GuestShell

USERNET = """\
Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[HOST_FORWARD]  15       127.0.0.1 39145       10.0.2.15  6379     0     0
  TCP[HOST_FORWARD]  16       127.0.0.1 40001       10.0.2.15    80     0     0
"""

Answer = Callable[[bytes, bytes], bytes]
"""What the guest says to the number and the command of a line."""


def said(number: bytes, code: int, output: bytes) -> bytes:
    return b"%b %d %b\n" % (number, code, base64.b64encode(output))


@asynccontextmanager
async def shell_of(path: Path, answer: Answer) -> AsyncIterator[GuestShell]:
    """A shell whose guest answers so; an empty answer closes the port."""

    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # of an answer that nobody took
            async for line in reader:
                number, _, command = line.split()
                if not (answered := answer(number, base64.b64decode(command))):
                    break
                writer.write(answered)
        writer.transport.abort()
        gone.set()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        shell = await GuestShell.connect(path)
        try:
            yield shell
        finally:
            shell.close()
            await gone.wait()


async def test_a_command_arrives_as_its_words_and_comes_back_with_its_end(tmp_path: Path) -> None:
    def echo(number: bytes, command: bytes) -> bytes:
        return said(number, 3, command)

    async with shell_of(tmp_path / "s", echo) as shell:
        ran = await shell.run(["echo", "a b", "it's\nnew"], timeout_s=1)

    assert ran == (3, """exec echo 'a b' 'it'"'"'s\nnew'""")


async def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(tmp_path: Path) -> None:
    def late(number: bytes, _command: bytes) -> bytes:
        return said(b"0", 0, b"old") + said(number, 0, b"new")

    async with shell_of(tmp_path / "s", late) as shell:
        assert await shell.run(["ls"], timeout_s=1) == (0, "new")


async def test_what_was_killed_before_its_time_was_not_killed_by_us(tmp_path: Path) -> None:
    def killed(number: bytes, _command: bytes) -> bytes:
        return said(number, 137, b"Killed")

    async with shell_of(tmp_path / "s", killed) as shell:
        assert await shell.run(["ls"], timeout_s=60) == (137, "Killed")
        assert await shell.run(["ls"], timeout_s=0) is None


@pytest.mark.parametrize("nonsense", [b"", b"what\n", b"1 x eA==\n", b"1 0 !\n", b"x" * 2**19])
async def test_a_guest_that_talks_nonsense_or_goes_is_an_error(
    nonsense: bytes, tmp_path: Path
) -> None:
    async with shell_of(tmp_path / "s", lambda _number, _command: nonsense) as shell:
        with pytest.raises(LabError, match="gave no answer"):
            await shell.run(["ls"], timeout_s=1)


async def test_a_command_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with shell_of(tmp_path / "s", lambda _number, _command: b"") as shell:
        with pytest.raises(LabError, match="bytes long"):
            await shell.run(["echo", "x" * 2**16], timeout_s=1)


async def test_the_port_that_leads_into_a_guest_is_the_one_that_qemu_chose() -> None:
    asked: list[str] = []

    async def monitor(command: str, *, command_line: str) -> str:
        asked.append(f"{command} {command_line}")
        return USERNET if command_line == "info usernet" else ""

    assert await open_forward(monitor, 80) == 40001
    assert asked[0] == "human-monitor-command hostfwd_add tcp:127.0.0.1:0-:80"


async def test_a_qemu_that_cannot_forward_is_quoted() -> None:
    async def monitor(_command: str, *, command_line: str) -> str:
        return "unknown command: 'hostfwd_add'" if "hostfwd" in command_line else ""

    with pytest.raises(LabError, match="unknown command: 'hostfwd_add'"):
        await open_forward(monitor, 80)
