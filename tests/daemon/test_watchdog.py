"""The watchdog is fed by passes that went well, and by nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from barostat.config.layers import load
from barostat.core.observation import GuestObservation, HostObservation
from barostat.daemon import run
from barostat.daemon.logs import LogOutput
from barostat.daemon.run import UNHEALTHY_PASSES, Daemon
from barostat.host.host import Host

from .conftest import Running


def test_a_healthy_daemon_feeds_its_watchdog(daemon: Running) -> None:
    daemon.environment |= {"WATCHDOG_USEC": "1000000"}
    daemon.start()

    for _ in range(4):
        daemon.hear("WATCHDOG=1")


class Unlucky(Host):
    """A box whose look fails by a fault of our own, until it is told to go well."""

    well = False

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        if not Unlucky.well:
            raise ZeroDivisionError("a fault of our own")
        return HostObservation(capacity_bytes=2**30)


async def listen(ear: socket.socket, words: str) -> list[str]:
    """Hear what is told until some words are."""
    heard: list[str] = []
    async with asyncio.timeout(20):
        while not any(words in line for line in heard):
            heard += (await asyncio.get_running_loop().sock_recv(ear, 4096)).decode().split("\n")
    return heard


async def test_passes_that_fail_feed_nothing_and_a_good_one_does_again(
    daemon: Running, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(run, "Host", Unlucky)
    monkeypatch.setattr(Unlucky, "well", False)
    loaded = load(daemon.config, environment={})
    address = "\0" + str(tmp_path)
    output = LogOutput(loaded.config.log)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as ear:
        ear.bind(address)
        environment = {"NOTIFY_SOCKET": "@" + address[1:], "WATCHDOG_USEC": "400000"}
        ours = Daemon(
            loaded, file=daemon.config, environment=environment, observe=False, output=output
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ours.run())

            ill = await listen(ear, f"{UNHEALTHY_PASSES + 2} passes failed in a row")
            Unlucky.well = True
            well = await listen(ear, "WATCHDOG=1")

            os.kill(os.getpid(), signal.SIGTERM)
            await listen(ear, "STOPPING=1")
    output.close()

    assert not any(line.startswith(("WATCHDOG", "READY")) for line in ill)
    assert well
