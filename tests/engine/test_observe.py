"""Snapshots: one frozen value of everything, settings checked against what the guest is made of."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from barostat.core.observation import GuestObservation
from barostat.core.settings import MemorySettings
from barostat.engine.observe import FixedCapacity, FixedSettings, take_snapshot
from barostat.errors import SettingsError
from barostat.units import GIB

from .conftest import Host

pytestmark = pytest.mark.looptime


async def test_a_snapshot_holds_guests_by_name_and_the_host(host: Host) -> None:
    host.add("web")
    host.add("db")

    snapshot = await take_snapshot(
        host.hypervisor,
        FixedSettings(host.settings),
        FixedCapacity(GIB),
        clock=asyncio.get_running_loop().time,
    )

    assert [guest.name for guest in snapshot.guests] == ["db", "web"]
    assert snapshot.host.capacity_bytes == GIB
    assert snapshot.settings == host.settings


async def test_settings_that_the_devices_do_not_allow_are_a_fault_of_that_guest_alone(
    host: Host,
) -> None:
    host.add("web")
    host.add("db")
    host.settings["db"] = replace(host.settings["db"], maximum_bytes=8 * GIB)

    snapshot = await take_snapshot(
        host.hypervisor,
        FixedSettings(host.settings),
        FixedCapacity(GIB),
        clock=asyncio.get_running_loop().time,
    )

    assert set(snapshot.settings) == {"web"}
    assert "devices allow at most 2048 MiB" in snapshot.settings_faults["db"]


async def test_settings_that_cannot_be_read_are_a_fault_of_that_guest_alone(host: Host) -> None:
    host.add("web")
    host.add("bare")

    class Broken:
        def settings_of(self, guest: GuestObservation) -> MemorySettings | None:
            if guest.name == "web":
                raise SettingsError("web.toml: it is not TOML")
            return None

    snapshot = await take_snapshot(
        host.hypervisor, Broken(), FixedCapacity(GIB), clock=asyncio.get_running_loop().time
    )

    assert snapshot.settings_faults == {"web": "web.toml: it is not TOML"}
    assert snapshot.settings == {}
