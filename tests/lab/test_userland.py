"""A guest with a real userland: Python, redis and stress-ng run in it, two agents answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from barostat.errors import LabError
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.hypervisors.qmp import QmpHypervisor
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.machine import LabGuest
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

REDIS = 6379
ANSWER_S = 20
SPEC = GuestSpec(
    name="db",
    boot_bytes=256 * MIB,
    maximum_bytes=512 * MIB,
    swap_bytes=128 * MIB,
    userland=True,
    forwards=(REDIS,),
)
TINY = GuestSpec(name="tiny", boot_bytes=128 * MIB, maximum_bytes=256 * MIB)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(userland_kit: Kit) -> AsyncIterator[Lab]:
    """One guest for all tests here: none of them does it any harm."""
    async with Lab([SPEC], kit=userland_kit) as lab:
        yield lab


@pytest.fixture
def guest(lab: Lab) -> LabGuest:
    return lab.guests[SPEC.name]


async def first_line(guest: LabGuest, path_of: str, said: bytes = b"") -> dict[str, object]:
    """Say something at one of the guest's sockets, and read the first line that it says."""
    path = getattr(guest.files, path_of)
    async with asyncio.timeout(ANSWER_S):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(said)
        line = await reader.readline()
    writer.close()
    answer: dict[str, object] = json.loads(line)
    return answer


async def test_a_guest_of_256_mib_boots_from_its_disk_and_python_runs(guest: LabGuest) -> None:
    program = "import ctypes, json, select, subprocess; print(json.dumps([1, 'ä\\n']))"

    ran = await guest.run(["python3", "-c", program], timeout_s=ANSWER_S)

    assert (ran.code, json.loads(ran.output)) == (0, [1, "ä\n"])
    assert guest.witness is not None
    assert guest.witness.swap_total_bytes > 120 * MIB
    assert guest.witness.available_bytes > 150 * MIB


async def test_what_a_command_says_and_how_it_ends_is_known(guest: LabGuest) -> None:
    failed = await guest.run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=ANSWER_S)
    silent = await guest.run(["true"], timeout_s=ANSWER_S)
    long = await guest.run(["seq", "100000"], timeout_s=ANSWER_S)
    missing = await guest.run(["no-such-program"], timeout_s=ANSWER_S)

    assert failed == (3, "out\nerr\n")
    assert silent == (0, "")
    assert len(long.output) == 65536
    assert long.output.endswith("\n100000\n")
    assert missing.code == 127


async def test_a_command_that_does_not_end_is_killed_and_the_next_one_runs(guest: LabGuest) -> None:
    with pytest.raises(LabError, match="did not end within 1 s and was killed"):
        await guest.run(["sleep", "60"], timeout_s=1)

    assert (await guest.run(["echo", "next"], timeout_s=ANSWER_S)).output == "next\n"


async def test_redis_answers_a_client_on_the_host(guest: LabGuest) -> None:
    await guest.run(
        [*("redis-server", "--daemonize", "yes", "--save", ""), "--protected-mode", "no"],
        timeout_s=ANSWER_S,
    )

    answer = b""
    async with asyncio.timeout(ANSWER_S):
        while not answer:  # it does not listen yet
            await asyncio.sleep(0.1)
            answer = await ping_redis(*guest.forward(REDIS))

    assert answer == b"+PONG\r\n"
    assert guest.forward(REDIS)[0] == "127.0.0.1"


async def ping_redis(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(b"PING\r\n")
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_stress_ng_takes_the_memory_that_it_is_told_to(guest: LabGuest) -> None:
    before = await guest.ping()
    words = ("stress-ng", "--vm", "1", "--vm-bytes", "64M", "--vm-keep", "-t", "4")
    async with asyncio.TaskGroup() as tasks:
        stress = tasks.create_task(guest.run(words, timeout_s=60))
        await guest.until(
            lambda seen: seen.available_bytes < before.available_bytes - 50 * MIB, "be stressed"
        )

    assert stress.result().code == 0, stress.result().output


async def test_qemu_guest_agent_answers(guest: LabGuest) -> None:
    assert await first_line(guest, "qga", b'{"execute":"guest-ping"}\n') == {"return": {}}


async def test_barostats_agent_says_hello_where_its_hypervisor_finds_it(
    lab: Lab, guest: LabGuest
) -> None:
    hypervisor = QmpHypervisor(directory=lab.folder)
    try:
        await hypervisor.observe(now_s=asyncio.get_running_loop().time())
        agents = dict(hypervisor.agents)
    finally:
        await hypervisor.close()

    hello = await first_line(guest, "agent")

    assert agents == {SPEC.name: guest.files.agent}
    assert hello["type"] == "hello"


async def test_a_guest_without_a_userland_has_a_port_for_an_agent_and_nothing_to_run(
    kit: Kit,
) -> None:
    async with Lab([TINY], kit=kit) as lab:
        guest = lab.guests[TINY.name]

        assert guest.files.agent.is_socket()
        with pytest.raises(LabError, match="has no userland to run `ls` in"):
            await guest.run(["ls"], timeout_s=1)
        with pytest.raises(LabError, match="no port of the host leads to port 80"):
            guest.forward(80)
        await guest.stop()
        assert not guest.files.agent.exists()


async def test_a_kit_without_a_userland_boots_no_guest_that_wants_one(kit: Kit) -> None:
    async with Lab((), kit=kit) as lab:
        with pytest.raises(LabError, match="there is no image of one") as refused:
            await lab.boot(SPEC)

        assert lab.guests == {}
    assert "userland=True" in refused.value.hint


async def test_domains_of_libvirt_have_a_userland_too_and_their_agents_are_found(
    userland_kit: Kit, libvirt_kit: Kit
) -> None:
    spec = GuestSpec(name="db", boot_bytes=256 * MIB, maximum_bytes=512 * MIB, userland=True)
    async with Lab([spec, TINY], kit=userland_kit, libvirt=True) as lab:
        hypervisor = LibvirtHypervisor(lab.uri)
        try:
            await hypervisor.observe(now_s=asyncio.get_running_loop().time())
            agents = dict(hypervisor.agents)
        finally:
            await hypervisor.close()
        ran = await lab.guests["db"].run(["redis-server", "--version"], timeout_s=ANSWER_S)

        assert agents == {name: lab.guests[name].files.agent for name in ("db", "tiny")}
        assert ran.output.startswith("Redis server")
        with pytest.raises(LabError, match="a domain of libvirt"):
            await lab.boot(
                GuestSpec(
                    name="two",
                    boot_bytes=256 * MIB,
                    maximum_bytes=256 * MIB,
                    userland=True,
                    forwards=(REDIS,),
                )
            )
