"""From the configuration to the parts: what is named is found, or said to be missing."""

from __future__ import annotations

import grp
import importlib.util
import os
from pathlib import Path

import pytest

from barostat.config.sections import DaemonConfig, ServiceSection
from barostat.core.observation import RunState
from barostat.daemon.lock import only_daemon
from barostat.daemon.parts import OWN_GROUP, group_of, guests_of, host_policy, pace_of
from barostat.engine.sampling import Pace
from barostat.errors import InputError, ServiceError
from barostat.host.policy import HostPolicy
from barostat.units import GIB


def config(**sections: dict[str, object]) -> DaemonConfig:
    return DaemonConfig.model_validate(sections)


def test_the_numbers_of_the_host_reach_it() -> None:
    wanted = config(host={"reserve": "3GiB", "lasting_s": 7})

    assert host_policy(wanted.host) == HostPolicy(reserve_bytes=3 * GIB, lasting_s=7)
    assert host_policy(DaemonConfig().host) == HostPolicy()


def test_the_numbers_of_the_fast_lane_reach_it() -> None:
    wanted = config(lane={"on": False, "touch_per_s": "2GiB"})

    assert pace_of(wanted.lane) == Pace(on=False, touch_bytes_per_s=2 * GIB)
    assert pace_of(DaemonConfig().lane) == Pace()


def test_a_daemon_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="nothing whose VMs") as caught:
        guests_of(config(libvirt={"uris": []}))

    assert "[qmp]" in caught.value.hint


async def test_a_folder_that_is_not_there_is_a_fault_that_hides_nobody(tmp_path: Path) -> None:
    folder, absent = tmp_path / "vms", tmp_path / "absent"
    folder.mkdir()
    guests = guests_of(
        config(libvirt={"uris": []}, qmp={"folders": [str(folder), str(absent), str(folder)]})
    )

    assert await guests.observe(now_s=0.0) == []
    assert guests.faults.keys() == {str(absent)}
    await guests.close()


@pytest.mark.skipif(importlib.util.find_spec("libvirt") is None, reason="an extra")
async def test_guests_of_libvirt_are_among_them() -> None:
    guests = guests_of(config(libvirt={"uris": ["test:///default"]}))

    seen = await guests.observe(now_s=0.0)

    assert [(guest.name, guest.run_state) for guest in seen] == [("test", RunState.RUNNING)]
    await guests.close()


def test_a_group_that_is_named_must_be_there() -> None:
    own = grp.getgrgid(os.getgid()).gr_name

    assert group_of(ServiceSection(group=own)) == own
    assert group_of(ServiceSection(group="")) is None
    with pytest.raises(InputError, match="no group"):
        group_of(ServiceSection(group="no-such-group"))


def test_the_groups_default_is_ours_where_there_is_one() -> None:
    there = {group.gr_name for group in grp.getgrall()}

    assert group_of(ServiceSection()) == (OWN_GROUP if OWN_GROUP in there else None)


@pytest.mark.trust("confirmed", "two daemons at once")
def test_the_second_daemon_of_a_socket_is_told_who_is_the_first(tmp_path: Path) -> None:
    socket = tmp_path / "run" / "api.sock"

    with (
        only_daemon(socket, group=None),
        pytest.raises(ServiceError, match=f"with PID {os.getpid()}"),
        only_daemon(socket, group=None),
    ):
        pass
    with only_daemon(socket, group=None):
        assert socket.parent.stat().st_mode & 0o777 == 0o750


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with (
        pytest.raises(ServiceError, match="cannot be made") as caught,
        only_daemon(tmp_path / "file" / "api.sock", group=None),
    ):
        pass

    assert "[service]" in caught.value.hint
