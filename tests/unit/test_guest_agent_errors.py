"""What libvirt says of a guest's qemu-guest-agent, and an agent that keeps it waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from barostat.core.observation import RunState
from barostat.errors import (
    DeadlineError,
    GuestGoneError,
    HypervisorError,
    RefusedError,
    UnreachableError,
)
from barostat.hypervisors import libvirt as libvirt_module
from barostat.hypervisors.guest_agent import LARGEST_ANSWER_BYTES, read_answer
from barostat.hypervisors.libvirt import LibvirtHypervisor

libvirt = pytest.importorskip("libvirt")
libvirt_qemu = pytest.importorskip("libvirt_qemu")

from barostat.hypervisors.libvirt_errors import translate_agent  # noqa: E402

GUEST = "test"


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        ("AGENT_UNRESPONSIVE", "QEMU guest agent is not connected", RefusedError),
        ("AGENT_UNRESPONSIVE", "agent is not available due to an error", RefusedError),
        ("AGENT_UNRESPONSIVE", "Guest agent not available for now", DeadlineError),
        ("ARGUMENT_UNSUPPORTED", "QEMU guest agent is not configured", RefusedError),
        ("INTERNAL_ERROR", "unable to execute QEMU agent command", RefusedError),
        ("NO_DOMAIN", "Domain not found", GuestGoneError),
        ("OPERATION_DENIED", "read only access prevents this", RefusedError),
    ],
)
def test_what_libvirt_says_of_an_agent_is_known(
    code: str, said: str, kind: type[HypervisorError]
) -> None:
    error = libvirt.libvirtError(said)
    error.err = (getattr(libvirt, f"VIR_ERR_{code}"), 10, said, 2, said, None, None, -1, -1)
    error.args = (said,)

    meant = translate_agent("qemu:///system", error, guest="web", command="guest-info")

    assert type(meant) is kind
    assert "web" in meant.message
    assert meant.hint


def test_the_words_of_a_guest_that_libvirt_passes_on_are_made_fit_to_be_shown() -> None:
    said = "unable to execute QEMU agent command 'x': \x1b[2J\n" + "y" * 10_000
    error = libvirt.libvirtError(said)
    error.err = (libvirt.VIR_ERR_INTERNAL_ERROR, 10, said, 2, said, None, None, -1, -1)
    error.args = (said,)

    meant = translate_agent("qemu:///system", error, guest="web", command="guest-info")

    assert meant.message.isprintable()
    assert len(meant.message) < 250


def test_an_answer_that_is_too_long_is_not_even_read() -> None:
    with pytest.raises(UnreachableError):
        read_answer("web", "guest-info", b'{"return": 1}' + b" " * LARGEST_ANSWER_BYTES)


@pytest_asyncio.fixture
async def hypervisor() -> AsyncIterator[LibvirtHypervisor]:
    hypervisor = LibvirtHypervisor("test:///default")
    await hypervisor.observe(now_s=time.monotonic())
    yield hypervisor
    await hypervisor.close()


@pytest.fixture
def holding(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have libvirt wait for the agent until the test is over."""
    release = threading.Event()

    def hold(_domain: Any, _command: str, _timeout: int, _flags: int) -> str:
        release.wait(10)
        return '{"return": {}}'

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", hold)
    monkeypatch.setattr(libvirt_module, "LATE_S", -0.8)
    yield
    release.set()


async def ping(hypervisor: LibvirtHypervisor) -> object:
    return await hypervisor.ask_guest_agent(GUEST, "guest-ping", {}, timeout_s=1)


async def test_an_agent_that_keeps_libvirt_waiting_does_not_keep_its_guest_from_being_seen(
    hypervisor: LibvirtHypervisor, holding: None
) -> None:
    with pytest.raises(DeadlineError, match="qemu-guest-agent"):
        await ping(hypervisor)
    began_s = time.monotonic()
    with pytest.raises(DeadlineError):
        await ping(hypervisor)
    again_s = time.monotonic() - began_s
    [seen] = await hypervisor.observe(now_s=time.monotonic())

    assert again_s < 0.1
    assert seen.run_state is RunState.RUNNING


async def test_libvirt_is_made_to_wait_for_a_few_agents_only(
    hypervisor: LibvirtHypervisor, holding: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt_module, "LATE_AGENTS", 1)
    with pytest.raises(DeadlineError):
        await ping(hypervisor)

    with pytest.raises(RefusedError, match="others"):
        await ping(hypervisor)


async def test_an_answer_that_libvirt_passes_on_is_read(
    hypervisor: LibvirtHypervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def answer(_domain: Any, command: str, _timeout: int, _flags: int) -> str:
        said.append(command)
        return '{"return": 7}'

    monkeypatch.setattr(libvirt_qemu, "qemuAgentCommand", answer)
    answered = await hypervisor.ask_guest_agent(GUEST, "guest-sync", {"id": 7}, timeout_s=1)

    assert answered == 7
    assert said == ['{"execute":"guest-sync","arguments":{"id":7}}']


async def test_a_driver_that_knows_no_agents_has_none(hypervisor: LibvirtHypervisor) -> None:
    async with asyncio.timeout(2):
        with pytest.raises(RefusedError, match="has no qemu-guest-agent"):
            await ping(hypervisor)
