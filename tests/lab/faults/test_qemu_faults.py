"""What may happen to a guest's QEMU and to its socket: its neighbours go on."""

from __future__ import annotations

import asyncio
import signal

import pytest
from tests.lab.faults.ground import balanced, decided, ground, seen, settings, spec

from barostat.config.settings_file import write_settings
from barostat.core.reasons import ReasonCode
from barostat.errors import GuestGoneError, UnreachableError
from barostat.lab.fleet import Kit, Lab
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


@pytest.mark.trust("neighbours", "QEMU is stopped (SIGSTOP)")
async def test_a_guest_whose_qemu_is_stopped_keeps_what_it_has_while_its_neighbour_grows(
    kit: Kit,
) -> None:
    async with ground(kit, spec("web"), spec("hung")) as place:
        before = decided(await place.well("hung"), "hung").assigned_bytes
        place.signal("hung", signal.SIGSTOP)
        try:
            stopped = await place.held("hung", ReasonCode.UNREACHABLE)
            await place.serves("web")
            fault = place.hypervisor.faults["hung"]
        finally:
            place.signal("hung", signal.SIGCONT)
        await place.serves("hung")

    assert decided(stopped, "hung").promised_bytes >= before
    assert "hang" in fault.hint


@pytest.mark.trust("neighbours", "QEMU is killed (SIGKILL)")
async def test_what_a_killed_guest_had_serves_its_neighbour(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("victim"), capacity_mib=560) as place:
        place.ended.add("victim")
        place.signal("victim", signal.SIGKILL)

        gone = await place.until(lambda tick: seen(tick, "victim") is None, "victim gone")
        await place.hold("web", 400)
        await place.until(
            lambda tick: decided(tick, "web").assigned_bytes > (560 - 128) * MIB,
            "web served with what the victim had and must have had",
        )
        fault = place.hypervisor.faults["victim"]

    assert isinstance(fault, GuestGoneError)
    assert gone.decision.promised_bytes < 400 * MIB


@pytest.mark.trust("neighbours", "another client holds QEMU's socket")
async def test_a_socket_that_another_client_holds_costs_its_own_guest_alone(kit: Kit) -> None:
    async with Lab([spec("web"), spec("busy")], kit=kit) as lab:
        for name in lab.guests:
            write_settings(lab.folder / f"{name}.toml", settings())
        _, holder = await asyncio.open_unix_connection(str(lab.guests["busy"].qmp_path))
        async with balanced(lab, "web") as place:
            await place.until(lambda _: "busy" in place.hypervisor.faults, "busy told of")
            fault = place.hypervisor.faults["busy"]
            await place.serves("web")
            holder.close()
            await place.serves("busy")

    assert isinstance(fault, UnreachableError)
    assert "serves one client" in fault.hint


@pytest.mark.trust("doubt", "QEMU's socket is removed from its folder")
async def test_a_guest_whose_socket_is_removed_goes_on_being_served(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        place.lab.guests["db"].qmp_path.unlink()
        await place.passes(2)

        await place.serves("db")
        await place.serves("web")


@pytest.mark.trust("neighbours", "QEMU's socket is replaced by another program's")
async def test_a_socket_where_something_else_answers_costs_its_own_guest_alone(kit: Kit) -> None:
    async with Lab([spec("web"), spec("db")], kit=kit) as lab:
        for name in lab.guests:
            write_settings(lab.folder / f"{name}.toml", settings())
        path = lab.guests["db"].qmp_path
        path.rename(path.with_suffix(".true"))
        other = await asyncio.start_unix_server(talk, str(path))
        async with balanced(lab, "web") as place:
            await place.until(lambda _: "db" in place.hypervisor.faults, "db told of")
            fault = place.hypervisor.faults["db"]
            await place.serves("web")
            other.close()
            path.with_suffix(".true").rename(path)
            await place.serves("db")

    assert isinstance(fault, UnreachableError)
    assert "not QMP" in fault.message


async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be no QMP."""
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
    writer.close()
