"""Which QEMU is whose, what is left for guests, and whom the host cannot have memory back from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.unit.builders import devices, guest

from barostat.core.observation import GuestObservation, RunState
from barostat.core.reasons import ReasonCode
from barostat.host.accounts import Accounts, Overhead, draw_up, overhead_bytes, watch_overhead
from barostat.host.command import read_command
from barostat.host.matching import match, unfit
from barostat.host.memory import Memory
from barostat.host.policy import HostPolicy
from barostat.host.processes import QemuProcess
from barostat.units import GIB, MIB

POLICY = HostPolicy()
MEMORY = Memory(total_bytes=64 * GIB, available_bytes=40 * GIB)


def process(
    *options: str, pid: int = 1, resident: int = 900, started: float = 0, locked: int = 0
) -> QemuProcess:
    words = options or ("-name", "guest=web", "-m", "1024")
    return QemuProcess(
        pid=pid,
        started_s=started,
        command=read_command(["qemu", *words]),
        resident_bytes=resident * MIB,
        locked_bytes=locked * MIB,
    )


def accounts(
    *guests: GuestObservation,
    memory: Memory = MEMORY,
    processes: Mapping[str, QemuProcess] | None = None,
    foreign: Sequence[QemuProcess] = (),
    up: float = 1000.0,
    policy: HostPolicy = POLICY,
) -> Accounts:
    return draw_up(
        memory,
        reserve_bytes=4 * GIB,
        guests=guests,
        processes=processes or {},
        foreign=foreign,
        overheads={},
        host_up_s=up,
        policy=policy,
    )


# Who is who.


def test_a_guest_is_found_by_its_name_or_its_socket() -> None:
    web = process()
    mail = process("-qmp", "unix:/run/vms/mail.qmp,server=on", pid=2)

    found = match({"web": GIB, "mail": GIB}, [web, mail])

    assert found.by_guest == {"web": web, "mail": mail}
    assert found.foreign == ()


def test_what_runs_no_guest_that_is_seen_is_foreign() -> None:
    other = process("-name", "other", pid=2)

    found = match({"web": GIB, "remote": GIB}, [process(), other])

    assert set(found.by_guest) == {"web"}
    assert found.foreign == (other,)


def test_of_two_with_one_name_the_one_with_the_boot_ram_is_meant_and_the_other_is_foreign() -> None:
    larger = process("-name", "web", "-m", "4096", pid=1)
    meant = process("-name", "web", "-m", "1024", pid=2)

    found = match({"web": GIB}, [larger, meant])

    assert found.by_guest["web"] is meant
    assert found.foreign == (larger,)


def test_a_guest_that_shares_its_name_is_found_by_what_it_is_called_at_home() -> None:
    one, other = process(pid=1), process(pid=2)

    found = match({"web": GIB, "web@qemu:///session": GIB}, [one, other])

    assert found.by_guest == {"web": one, "web@qemu:///session": other}


def test_a_process_runs_one_guest_only() -> None:
    both = process("-name", "web", "-qmp", "unix:/run/alias.qmp")

    assert set(match({"alias": GIB, "web": GIB}, [both]).by_guest) == {"alias"}


# Whose memory cannot be had back.


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (process("-device", "vfio-pci,host=01:00.0"), ReasonCode.PASSTHROUGH),
        (process("-overcommit", "mem-lock=on"), ReasonCode.LOCKED),
        (process("-object", "tdx-guest,id=t"), ReasonCode.CONFIDENTIAL),
        (replace(process(), hugepages=True), ReasonCode.HUGEPAGES),
        (process(locked=700), ReasonCode.LOCKED),
    ],
)
def test_what_a_guest_cannot_give_is_found(found: QemuProcess, code: ReasonCode) -> None:
    assert unfit({"web": found})["web"].code is code


def test_an_ordinary_guest_is_fit() -> None:
    assert unfit({"web": process(locked=16)}) == {}
    assert unfit({}) == {}


# What QEMU takes for itself.


def test_the_overhead_of_a_guest_is_estimated_from_its_size() -> None:
    assert overhead_bytes(guest(), None, POLICY) == (64 + 8) * MIB
    grown = guest(has=devices(plugged=1024))
    assert overhead_bytes(grown, None, POLICY) == (64 + 16) * MIB


def watched(*residents: int, seen: GuestObservation | None = None) -> Overhead:
    found: Overhead | None = None
    for second, resident in enumerate(residents):
        item = process(resident=resident)
        found = watch_overhead(found, seen or guest(), item, now_s=float(second))
    assert found is not None
    return found


def test_an_overhead_that_is_seen_twice_counts() -> None:
    assert watched(1400, 1500).bytes == (1400 - 1024) * MIB
    assert overhead_bytes(guest(), watched(1400, 1500), POLICY) == 376 * MIB


def test_what_a_guest_took_between_two_looks_is_no_overhead() -> None:
    assert watched(1000, 3000).bytes == 0
    assert watched(1000, 3000, 1000).bytes == 0


def test_an_overhead_is_forgotten_slowly() -> None:
    past = watched(1400, 1400)

    later = watch_overhead(past, guest(), process(resident=1000), now_s=301.0)

    assert later.bytes == pytest.approx(188 * MIB)


def test_what_a_balloon_took_and_the_host_did_not_get_is_overhead() -> None:
    fake = guest(has=devices(balloon=512))

    assert watched(1024, 1024, seen=fake).bytes == 512 * MIB


def test_what_a_guest_may_take_is_no_overhead() -> None:
    deflating = guest(has=devices(balloon=512, target=1024))
    booting = guest(has=devices(balloon=512), run_state=RunState.BOOTING)

    assert watched(1024, 1024, seen=deflating).bytes == 0
    assert watched(1024, 1024, seen=booting).bytes == 0


# What is left.


def test_guests_may_have_what_is_left() -> None:
    found = accounts(guest("a"), guest("b"))

    assert found.overhead_bytes == 2 * 72 * MIB
    assert found.capacity_bytes == 60 * GIB - 2 * 72 * MIB


def test_a_vm_that_nobody_sees_counts_at_what_it_may_take() -> None:
    small = process("-name", "x", "-m", "2048", resident=100)
    large = process("-name", "y", "-m", "2048", resident=5000)

    assert accounts(foreign=[small]).foreign_bytes == 2 * GIB
    assert accounts(foreign=[large]).foreign_bytes == 5000 * MIB
    assert accounts(foreign=[small]).capacity_bytes == 58 * GIB


def test_a_vm_that_just_started_counts_at_what_it_holds() -> None:
    new = process("-name", "x", "-m", "2048", resident=100, started=998)

    assert accounts(foreign=[new]).foreign_bytes == 100 * MIB
    assert accounts(foreign=[new], up=1010).foreign_bytes == 2 * GIB


def test_pools_of_hugepages_are_nobodys_to_hand_out() -> None:
    pools = replace(MEMORY, hugetlb_bytes=8 * GIB)
    unseen = replace(process("-name", "x", "-m", "4096", resident=50), hugepages=True)

    found = accounts(memory=pools, foreign=[unseen])

    assert found.hugetlb_bytes == 8 * GIB
    assert found.foreign_bytes == 50 * MIB, "the rest of it is in the pool"


def test_a_guest_made_of_hugepages_is_not_subtracted_twice() -> None:
    pools = replace(MEMORY, hugetlb_bytes=8 * GIB)
    huge = replace(process(), hugepages=True)

    found = accounts(guest("web"), memory=pools, processes={"web": huge})

    assert found.hugetlb_bytes == 7 * GIB, "the guest's GiB is in the ledger"


def test_a_capacity_that_was_given_is_kept_whatever_else_there_is() -> None:
    fixed = accounts(guest("a"), policy=HostPolicy(capacity_bytes=24 * GIB))

    assert fixed.capacity_bytes == 24 * GIB
    assert fixed.overhead_bytes


def test_nothing_is_left_where_everything_is_taken() -> None:
    assert accounts(foreign=[process("-name", "x", "-m", "100G")]).capacity_bytes == 0
