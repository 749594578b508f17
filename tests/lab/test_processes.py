"""Processes are known by id and start time: a reused id is somebody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from barostat.lab.processes import ProcessIdentity, identify


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that does nothing for a minute, unless it is ended."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_running_process_is_known_again(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)

    assert process is not None
    assert process.runs()


def test_another_process_with_the_same_id_is_left_alone(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None
    earlier = replace(process, start_ticks=process.start_ticks - 1)

    earlier.kill()

    assert not earlier.runs()
    assert process.runs()


async def test_a_killed_process_ends(sleeper: subprocess.Popen[bytes]) -> None:
    process = identify(sleeper.pid)
    assert process is not None

    assert not await process.ended(timeout_s=0.01)
    process.kill()

    assert await process.ended(timeout_s=5)
    assert not process.runs()  # though nobody has reaped it yet
    process.kill()  # and once more does no harm


async def test_an_id_that_nobody_has_is_nobody() -> None:
    child = await asyncio.create_subprocess_exec("true")
    await child.wait()

    assert identify(child.pid) is None
    nobody = ProcessIdentity(pid=child.pid, start_ticks=1)
    nobody.kill()
    assert await nobody.ended(timeout_s=0.01)


def test_our_own_process_has_a_name_with_anything_in_it() -> None:
    assert identify(os.getpid()) is not None
