"""A limit around a VM that does not stand where it belongs is shown, not only logged."""

from __future__ import annotations

from barostat.doctor.facts import Daemon as AskedDaemon
from barostat.doctor.findings import Level
from barostat.service.desk import LocalDesk
from barostat.service.documents import LimitFault
from barostat.service.examining import Asked, examine_all

from .conftest import Daemon


async def test_limits_that_do_not_stand_are_in_the_overview_and_in_what_doctor_finds(
    daemon: Daemon,
) -> None:
    daemon.control.on_tick(await daemon.balancer.look())
    daemon.control.limit_faults = lambda: {"web": "its cgroup is shared with sshd"}

    overview = await LocalDesk(daemon.control).overview()
    found = await examine_all(Asked(overview=overview, daemon=AskedDaemon(), way="a daemon"))

    assert overview.limit_faults == (
        LimitFault(name="web", message="its cgroup is shared with sshd"),
    )
    limits = next(item for item in found if item.check == "limits")
    assert limits.level is Level.ADVICE
    assert "web's: its cgroup is shared with sshd" in limits.says
