"""What doctor makes of what is known: a verdict for everything that should be, and a remedy."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from barostat.core.observation import Depth
from barostat.core.reasons import ReasonCode, because
from barostat.doctor.examine import blocks, examine
from barostat.doctor.facts import Daemon, GuestFacts, HostFacts, Libvirt
from barostat.doctor.findings import HOST, Finding, Level
from barostat.doctor.guest_checks import GUEST_CHECKS
from barostat.doctor.host_checks import HOST_CHECKS
from barostat.host.brake import Stage
from barostat.host.kernel import Cgroups, HugepagePool, Kernel, Node
from barostat.host.memory import Memory
from barostat.units import GIB, MIB

OK, ADVICE, BLOCKS = Level.OK, Level.ADVICE, Level.BLOCKS

MEMORY = Memory(total_bytes=64 * GIB, available_bytes=30 * GIB, stall_ratio=0.0)
KERNEL = Kernel(
    release="6.1.0",
    transparent_hugepages="madvise",
    cgroups=Cgroups.V2,
    overcommit=0,
    nodes=(Node(number=0, total_bytes=64 * GIB, free_bytes=GIB),),
)
HEALTHY = HostFacts(
    memory=MEMORY,
    kernel=KERNEL,
    capacity_bytes=50 * GIB,
    promised_bytes=20 * GIB,
    reserve_bytes=6 * GIB,
    daemon=Daemon(),
    way="a daemon answers",
    libvirt=Libvirt(serving=True, bound=True, version=(10, 1, 0)),
    qemu=(9, 0, 0),
    limit_faults=(),
)
WEB = GuestFacts(
    name="web",
    depth=Depth.AGENT,
    block_bytes=128 * MIB,
    deflate_on_oom=True,
    free_page_reporting=True,
    boot_bytes=GIB,
    ceiling_bytes=4 * GIB,
    assigned_bytes=2 * GIB,
    plugged_bytes=GIB,
    total_bytes=2 * GIB - 80 * MIB,
    swapped_out_bytes=MIB,
    minimum_bytes=512 * MIB,
    maximum_bytes=4 * GIB,
    enabled=True,
)


def of_host(check: str, **known: Any) -> Finding | None:
    """What one check says of a host that is healthy but for this."""
    found = examine(replace(HEALTHY, **known), [])
    return next((item for item in found if item.check == check), None)


def of_guest(check: str, **known: Any) -> Finding | None:
    found = examine(HEALTHY, [replace(WEB, **known)])
    return next((item for item in found if (item.subject, item.check) == ("web", check)), None)


@pytest.mark.parametrize(
    ("known", "level", "says"),
    [
        ({"paging_fault": ""}, Level.OK, "paged by the host"),
        ({"paging_fault": "the host has no swap"}, Level.ADVICE, "the host has no swap: "),
    ],
)
def test_whether_the_host_could_page_for_a_vm_that_restarts_is_said(
    known: dict[str, str], level: Level, says: str
) -> None:
    found = of_host("smart-paging", **known)

    assert found is not None
    assert found.level is level
    assert says in found.says


def test_limits_that_do_not_stand_are_told_where_a_daemon_is_asked() -> None:
    wrong = of_host("limits", limit_faults=(("web", "it is in no cgroup of its own"),))
    of_the_host = of_host("limits", limit_faults=(("", "this host has no memory cgroups"),))
    fine = of_host("limits", limit_faults=())

    assert of_host("limits", limit_faults=None) is None
    assert wrong is not None
    assert wrong.level is Level.ADVICE
    assert "web's: it is in no cgroup of its own" in wrong.says
    assert of_the_host is not None
    assert "the host's: this host has no memory cgroups" in of_the_host.says
    assert fine is not None
    assert fine.level is Level.OK


def test_a_healthy_host_and_guest_pass_every_check() -> None:
    found = examine(HEALTHY, [WEB])

    assert [item for item in found if item.level is not OK] == []
    assert not blocks(found)
    assert [item.check for item in found if item.subject == HOST] == [c.id for c in HOST_CHECKS]
    assert [item.check for item in found if item.subject == "web"] == [c.id for c in GUEST_CHECKS]


@pytest.mark.parametrize(
    ("check", "known", "level"),
    [
        ("qemu", {"qemu": (6, 1, 9)}, BLOCKS),
        ("qemu", {"qemu": (7, 2, 22)}, ADVICE),
        ("qemu", {"qemu": (8, 2)}, OK),
        ("libvirt", {"libvirt": Libvirt(serving=True, bound=False)}, BLOCKS),
        ("libvirt", {"libvirt": Libvirt(serving=True, bound=True, version=(7, 0))}, BLOCKS),
        ("libvirt", {"libvirt": Libvirt(serving=True, bound=True, version=(9, 0, 0))}, ADVICE),
        ("libvirt", {"libvirt": Libvirt()}, OK),
        ("connection", {"way_fault": ("nobody answers", "start somebody")}, BLOCKS),
        ("connection", {"way_fault": ("nobody answers", "")}, BLOCKS),
        ("rights", {"as_root": False}, ADVICE),
        ("daemon", {"daemon": None}, ADVICE),
        ("daemon", {"daemon": Daemon(moving=False)}, ADVICE),
        ("daemon", {"daemon": Daemon(paused=True)}, ADVICE),
        ("capacity", {"capacity_bytes": 0}, BLOCKS),
        ("capacity", {"capacity_bytes": 65 * GIB}, BLOCKS),
        ("capacity", {"promised_bytes": 51 * GIB}, ADVICE),
        ("brakes", {"stage": Stage.HOLDING}, BLOCKS),
        ("brakes", {"stage": Stage.TAKING}, BLOCKS),
        ("psi", {"memory": replace(MEMORY, stall_ratio=None)}, ADVICE),
        ("ksm", {"kernel": replace(KERNEL, ksm_on=True)}, ADVICE),
        ("host-swap", {"kernel": replace(KERNEL, swap_places=("/dev/sda2",))}, OK),
        ("host-swap", {"swapped_vms": (("db", 7 * MIB), ("web", 9 * MIB))}, ADVICE),
        ("thp", {"kernel": replace(KERNEL, transparent_hugepages="never")}, ADVICE),
        ("cgroups", {"kernel": replace(KERNEL, cgroups=Cgroups.V1)}, ADVICE),
        ("cgroups", {"kernel": replace(KERNEL, cgroups=Cgroups.NONE)}, ADVICE),
        ("overcommit", {"kernel": replace(KERNEL, overcommit=2)}, ADVICE),
        ("numa", {"kernel": replace(KERNEL, nodes=KERNEL.nodes * 2)}, OK),
        ("controllers", {"programs": frozenset({"pvestatd", "sshd"})}, ADVICE),
        ("controllers", {"programs": frozenset({"momd", "pvestatd"})}, BLOCKS),
        ("controllers", {"programs": frozenset({"squeezed"})}, BLOCKS),
        ("unseen", {"foreign": ("a", "b")}, ADVICE),
    ],
)
def test_a_host_is_judged(check: str, known: dict[str, Any], level: Level) -> None:
    found = of_host(check, **known)

    assert found is not None
    assert found.level is level
    assert bool(found.remedy) == (level is not OK)


@pytest.mark.parametrize(
    ("free", "level"), [(0, OK), (100, ADVICE)], ids=["all in use", "some idle"]
)
def test_hugepages_that_lie_idle_are_told(free: int, level: Level) -> None:
    pool = HugepagePool(page_bytes=2 * MIB, pages=512, free_pages=free)

    found = of_host("hugepages", kernel=replace(KERNEL, pools=(pool,)))

    assert found is not None
    assert found.level is level
    assert "1024 MiB" in found.says


@pytest.mark.parametrize(
    ("check", "known"),
    [
        ("qemu", {"qemu": None}),
        ("libvirt", {"libvirt": Libvirt(serving=True, bound=True)}),
        ("thp", {"kernel": replace(KERNEL, transparent_hugepages=None)}),
        ("overcommit", {"kernel": replace(KERNEL, overcommit=None)}),
        ("numa", {"kernel": replace(KERNEL, nodes=())}),
    ],
)
def test_what_is_not_known_of_a_host_is_not_judged(check: str, known: dict[str, Any]) -> None:
    assert of_host(check, **known) is None


def test_the_vm_that_the_host_swapped_out_most_is_named() -> None:
    found = of_host("host-swap", swapped_vms=(("db", 7 * MIB), ("web", 9 * MIB)))

    assert found is not None
    assert "16 MiB" in found.says
    assert "web" in found.says


def test_of_many_unseen_vms_some_are_named() -> None:
    found = of_host("unseen", foreign=tuple(f"vm{number}" for number in range(9)))

    assert found is not None
    assert "9 VMs" in found.says
    assert "vm4, ..." in found.says


@pytest.mark.parametrize(
    ("check", "known", "level"),
    [
        ("answers", {"fault": "it hangs"}, BLOCKS),
        ("balloon", {"has_balloon": False}, BLOCKS),
        ("statistics", {"statistics_age_s": None}, BLOCKS),
        ("statistics", {"statistics_age_s": 9.0}, BLOCKS),
        ("statistics", {"booting": True, "statistics_age_s": None}, ADVICE),
        ("deflate-on-oom", {"deflate_on_oom": False}, ADVICE),
        ("reporting", {"free_page_reporting": False}, ADVICE),
        ("virtio-mem", {"ceiling_bytes": GIB}, ADVICE),
        ("virtio-mem", {"ceiling_bytes": 5 * GIB}, ADVICE),
        ("virtio-mem", {"ceiling_bytes": 32 * GIB}, ADVICE),
        ("virtio-mem", {"ceiling_bytes": 33 * GIB}, BLOCKS),
        ("depth", {"depth": Depth.STATIC}, ADVICE),
        ("depth", {"depth": Depth.STATIC, "has_balloon": False}, ADVICE),
        ("depth", {"depth": Depth.BALLOON}, ADVICE),
        ("depth", {"depth": Depth.QGA}, ADVICE),
        ("program", {"program_fault": "it sent 4 bad lines"}, ADVICE),
        ("program", {"depth": Depth.QGA}, OK),
        ("onlining", {"total_bytes": GIB - 80 * MIB}, BLOCKS),
        ("onlining", {"onlining": "offline"}, OK),
        ("onlining", {"onlining": "online_kernel"}, ADVICE),
        ("onlining", {"onlining": "online"}, ADVICE),
        ("onlining", {"onlining": "offline", "plugged_bytes": 0}, ADVICE),
        ("onlining", {"onlining": "online_movable", "plugged_bytes": 0}, OK),
        ("onlining", {"onlining": "online_kernel", "total_bytes": GIB - 80 * MIB}, BLOCKS),
        ("memory-blocks", {"block_bytes": 2 * GIB}, ADVICE),
        ("swap", {"swapped_out_bytes": 0}, ADVICE),
        ("swap", {"swap_bytes": 0}, ADVICE),
        ("swap", {"swap_bytes": GIB, "swapped_out_bytes": 0}, OK),
        ("backing", {"unfit": because(ReasonCode.HUGEPAGES)}, BLOCKS),
        ("backing", {"unfit": because(ReasonCode.PASSTHROUGH, device="01:00.0")}, BLOCKS),
        ("backing", {"unfit": because(ReasonCode.LOCKED)}, BLOCKS),
        ("backing", {"unfit": because(ReasonCode.CONFIDENTIAL, technique="SEV")}, BLOCKS),
        ("settings", {"minimum_bytes": None, "maximum_bytes": None}, ADVICE),
        ("settings", {"settings_fault": "minimum is too large"}, BLOCKS),
        ("settings", {"enabled": False}, OK),
        ("maximum", {"maximum_bytes": 5 * GIB}, BLOCKS),
    ],
)
def test_a_guest_is_judged(check: str, known: dict[str, Any], level: Level) -> None:
    found = of_guest(check, **known)

    assert found is not None
    assert found.level is level
    assert bool(found.remedy) == (level is not OK)


@pytest.mark.parametrize(
    ("check", "known"),
    [
        ("statistics", {"has_balloon": False}),
        ("statistics", {"fault": "it hangs"}),
        ("deflate-on-oom", {"deflate_on_oom": None}),
        ("reporting", {"free_page_reporting": None}),
        ("depth", {"fault": "it hangs"}),
        ("depth", {"booting": True, "depth": Depth.STATIC}),
        ("program", {"depth": Depth.BALLOON}),
        ("memory-blocks", {"block_bytes": None}),
        ("onlining", {"total_bytes": None}),
        ("onlining", {"plugged_bytes": 0}),
        ("swap", {"swapped_out_bytes": None}),
        ("maximum", {"maximum_bytes": None}),
        ("maximum", {"settings_fault": "minimum is too large"}),
    ],
)
def test_what_is_not_known_of_a_guest_is_not_judged(check: str, known: dict[str, Any]) -> None:
    assert of_guest(check, **known) is None


def test_each_depth_leads_to_the_next() -> None:
    remedies = {}
    for depth in Depth:
        found = of_guest("depth", depth=depth)
        assert found is not None
        remedies[depth] = found.remedy

    assert "virtio_balloon" in remedies[Depth.STATIC]
    assert "guest-file-read" in remedies[Depth.BALLOON]
    assert "docs/howto/guest-agent.md" in remedies[Depth.QGA]
    assert remedies[Depth.AGENT] == ""


def test_why_an_agent_is_not_believed_is_said() -> None:
    found = of_guest("program", program_fault="it sent 4 bad lines", depth=Depth.BALLOON)

    assert found is not None
    assert "it sent 4 bad lines" in found.says


def test_what_is_not_seen_at_all_blocks() -> None:
    [found] = [
        item
        for item in examine(HEALTHY, [], silent={"mail": ("it is busy", "ask who holds it")})
        if item.subject == "mail"
    ]

    assert (found.check, found.level) == ("answers", BLOCKS)
    assert (found.says, found.remedy) == ("it is busy", "ask who holds it")


def test_advice_alone_blocks_nothing() -> None:
    assert not blocks(examine(replace(HEALTHY, daemon=None), [WEB]))
    assert blocks(examine(HEALTHY, [replace(WEB, has_balloon=False)]))


def test_the_reference_lists_every_check_and_what_it_wants() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "doctor.md"
    checks = page.read_text().partition("## The host")[2]
    rows = re.findall(r"^\| `([a-z-]+)` \| ([^|]+?) \|", checks, re.MULTILINE)

    wanted = [(check.id, check.wants) for check in (*HOST_CHECKS, *GUEST_CHECKS)]
    assert rows == wanted
