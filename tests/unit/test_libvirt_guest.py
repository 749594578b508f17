"""One domain: what it does and says, and when it must be asked by itself."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

libvirt = pytest.importorskip("libvirt")

from barostat.core.observation import GuestObservation, RunState  # noqa: E402
from barostat.errors import DeadlineError  # noqa: E402
from barostat.hypervisors.libvirt_events import Heard  # noqa: E402
from barostat.hypervisors.libvirt_guest import LibvirtGuest  # noqa: E402
from barostat.hypervisors.libvirt_line import Exact, Figures, Listed  # noqa: E402
from barostat.units import KIB, MIB  # noqa: E402

RUNNING = Listed(identity=("uuid", 1), state=libvirt.VIR_DOMAIN_RUNNING, reason=1)
XML = """<domain type='kvm' id='1'>
  <memory unit='KiB'>1048576</memory><currentMemory unit='KiB'>262144</currentMemory>
  <devices>
    <memballoon model='virtio' autodeflate='on'><stats period='{period}'/></memballoon>
    <memory model='virtio-mem'>
      <target>
        <size unit='KiB'>786432</size><block unit='KiB'>2048</block>
        <requested unit='KiB'>{requested}</requested><current unit='KiB'>0</current>
      </target>
      <alias name='virtiomem0'/>
    </memory>
  </devices>
</domain>"""


def xml(*, period: int = 1, requested: int = 0) -> str:
    return XML.format(period=period, requested=requested)


def said(*, current: int = 262144, at_s: float | None = None, usable: int = 100_000) -> Figures:
    """What a list says of a guest that spoke now, or then."""
    return {
        "current": current,
        "maximum": 1048576,
        "rss": 300_000,
        "available": 220_000,
        "usable": usable,
        "unused": 90_000,
        "swap_in": 3,
        "swap_out": 4,
        "major_fault": 5,
        "last-update": int(time.time() if at_s is None else at_s),
    }


def exact(
    figures: Figures | None = None,
    *,
    moving: bool = False,
    period: int = 1,
    requested: int = 0,
    fresh: bool = False,
) -> Exact:
    own = {**(figures or said()), "actual": 262144}
    return Exact(
        xml=xml(period=period, requested=requested), figures=own, moving=moving, fresh=fresh
    )


def seen(guest: LibvirtGuest) -> GuestObservation:
    observation = guest.observe(ahead_s=1000.0)
    assert observation is not None
    return observation


@pytest.fixture
def guest() -> LibvirtGuest:
    """A guest that was looked at in full at 10 s."""
    guest = LibvirtGuest("web", RUNNING, now_s=10.0)
    guest.listed(RUNNING, now_s=10.0)
    figures = said()
    guest.told(figures, asked_s=10.0, now_s=10.0)
    guest.asked(exact(figures), asked_s=10.0, now_s=10.0)
    return guest


def test_a_guest_is_reported_on_the_callers_clock_with_figures_in_bytes(
    guest: LibvirtGuest,
) -> None:
    observation = seen(guest)

    assert observation.run_state is RunState.RUNNING
    assert (observation.seen_at_s, observation.disturbed_at_s) == (1010.0, 1010.0)
    assert 1008.0 <= observation.statistics_at_s <= 1010.0
    assert observation.devices.assigned_bytes == 256 * MIB
    assert observation.statistics is not None
    assert observation.statistics.total_bytes == 220_000 * KIB
    assert observation.statistics.available_bytes == 100_000 * KIB
    assert observation.statistics.swap_out_bytes == 4 * KIB
    assert observation.statistics.major_faults == 5


def test_in_steady_state_a_list_suffices(guest: LibvirtGuest) -> None:
    answered = guest.told(said(usable=99_000), asked_s=11.0, now_s=11.0)

    assert answered
    assert not guest.must_be_asked(11.0)


def test_a_guest_that_was_never_asked_must_be_and_is_not_reported() -> None:
    guest = LibvirtGuest("web", RUNNING, now_s=10.0)

    assert guest.must_be_asked(10.0)
    assert guest.observe(ahead_s=0.0) is None


@pytest.mark.parametrize("what", list(Heard))
def test_after_any_event_a_guest_is_asked_by_itself(guest: LibvirtGuest, what: Heard) -> None:
    guest.hear(what, now_s=11.0)

    assert guest.must_be_asked(11.0)


def test_a_size_that_libvirt_believes_to_have_changed_is_asked_for(guest: LibvirtGuest) -> None:
    guest.told(said(current=200_000), asked_s=11.0, now_s=11.0)

    assert guest.must_be_asked(11.0)
    assert seen(guest).devices.assigned_bytes == 256 * MIB  # not believed by itself


def test_a_guest_is_asked_now_and_then_whatever_is_heard(guest: LibvirtGuest) -> None:
    assert guest.must_be_asked(22.5)


def test_a_wish_that_has_not_come_true_is_watched(guest: LibvirtGuest) -> None:
    guest.target_bytes = 128 * MIB
    balloon = guest.must_be_asked(11.0)
    guest.target_bytes = None
    guest.asked(exact(requested=2048), asked_s=11.0, now_s=11.0)

    assert balloon
    assert guest.must_be_asked(11.0)


def test_sizes_alone_are_no_answer_of_a_guest(guest: LibvirtGuest) -> None:
    assert not guest.told({"current": 262144, "maximum": 1048576}, asked_s=11.0, now_s=11.0)


def test_a_stamp_is_not_older_than_the_look_that_did_not_have_it(guest: LibvirtGuest) -> None:
    guest.told(said(usable=99_000, at_s=time.time() - 50), asked_s=11.0, now_s=11.01)

    assert seen(guest).statistics_at_s == 1010.0


def test_an_unchanged_answer_keeps_its_stamp(guest: LibvirtGuest) -> None:
    before = seen(guest)
    assert before.statistics is not None
    figures = said()
    guest.told(figures, asked_s=11.0, now_s=11.0)
    first = seen(guest)

    guest.told(dict(figures), asked_s=12.0, now_s=12.0)
    second = seen(guest)

    assert second.statistics_at_s == first.statistics_at_s
    assert second.seen_at_s == first.seen_at_s + 1


def test_a_reset_guest_boots_until_it_says_something_newer(guest: LibvirtGuest) -> None:
    guest.target_bytes = 128 * MIB
    before_s = time.time()
    guest.hear(Heard.RESET, now_s=12.0)
    guest.told(said(usable=98_000, at_s=before_s), asked_s=12.5, now_s=12.5)
    booting = seen(guest)

    guest.told(said(at_s=time.time() + 2), asked_s=14.0, now_s=14.0)
    running = seen(guest)

    assert booting.run_state is RunState.BOOTING
    assert booting.statistics is None
    assert booting.devices.balloon_actual_bytes == booting.devices.boot_bytes
    assert booting.disturbed_at_s == 1012.0
    assert running.run_state is RunState.RUNNING
    assert running.statistics is not None
    assert running.devices.balloon_target_bytes == 128 * MIB


@pytest.mark.parametrize(
    ("state", "reason", "run_state"),
    [
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER, RunState.PAUSED),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_MIGRATION, RunState.MIGRATING),
        (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_SAVE, RunState.MIGRATING),
        (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY, RunState.MIGRATING),
        (libvirt.VIR_DOMAIN_SHUTDOWN, 1, RunState.PAUSED),
        (libvirt.VIR_DOMAIN_CRASHED, 1, RunState.PAUSED),
        (libvirt.VIR_DOMAIN_PMSUSPENDED, 0, RunState.PAUSED),
        (libvirt.VIR_DOMAIN_BLOCKED, 0, RunState.RUNNING),
    ],
)
def test_libvirts_states_are_ours(
    guest: LibvirtGuest, state: int, reason: int, run_state: RunState
) -> None:
    guest.listed(replace(RUNNING, state=state, reason=reason), now_s=11.0)

    assert guest.run_state is run_state


def test_one_that_comes_in_from_elsewhere_is_not_asked_through_its_qemu(
    guest: LibvirtGuest,
) -> None:
    before = guest.asks_qemu

    guest.listed(
        replace(
            RUNNING, state=libvirt.VIR_DOMAIN_PAUSED, reason=libvirt.VIR_DOMAIN_PAUSED_MIGRATION
        ),
        now_s=11.0,
    )

    assert before
    assert not guest.asks_qemu


def test_a_migration_is_held_from_its_event_until_it_is_over_and_disturbs(
    guest: LibvirtGuest,
) -> None:
    guest.hear(Heard.MOVED, now_s=11.0)
    at_once = guest.run_state
    guest.asked(exact(moving=True), asked_s=11.1, now_s=11.1)
    guest.listed(RUNNING, now_s=12.0)
    during = guest.run_state

    guest.asked(exact(moving=False), asked_s=12.1, now_s=12.1)
    guest.listed(RUNNING, now_s=13.0)

    assert (at_once, during) == (RunState.MIGRATING, RunState.MIGRATING)
    assert seen(guest).run_state is RunState.RUNNING
    assert seen(guest).disturbed_at_s == 1013.0


def test_a_guest_that_does_not_answer_is_reported_as_last_seen(guest: LibvirtGuest) -> None:
    before = seen(guest)

    guest.fault = DeadlineError("silent")
    guest.listed(RUNNING, now_s=15.0)

    assert seen(guest) == replace(before, run_state=RunState.UNREACHABLE)


@pytest.mark.parametrize(("period", "wants"), [(0, True), (1, False), (2, False), (10, True)])
def test_statistics_that_come_too_seldom_are_asked_for_more_often(
    guest: LibvirtGuest, period: int, *, wants: bool
) -> None:
    guest.asked(exact(period=period), asked_s=11.0, now_s=11.0)

    assert guest.wants_period == wants


def test_libvirt_is_told_once_how_often_and_again_when_somebody_undoes_it(
    guest: LibvirtGuest,
) -> None:
    guest.asked(exact(period=0), asked_s=11.0, now_s=11.0)
    guest.period_tried = True
    once = guest.wants_period
    guest.asked(exact(period=1), asked_s=12.0, now_s=12.0)
    guest.asked(exact(period=0), asked_s=13.0, now_s=13.0)

    assert not once
    assert guest.wants_period


def test_a_driver_without_statistics_is_no_fault() -> None:
    """libvirt's test driver has figures for nobody, and makes some up when it is asked."""
    guest = LibvirtGuest("web", RUNNING, now_s=10.0)
    guest.listed(RUNNING, now_s=10.0)

    answered = guest.told({}, asked_s=10.0, now_s=10.0)
    guest.asked(exact(said()), asked_s=10.0, now_s=10.0)

    assert answered
    assert seen(guest).run_state is RunState.RUNNING
    assert seen(guest).statistics is None
    assert seen(guest).devices.assigned_bytes == 256 * MIB


def test_a_guest_can_be_asked_to_speak_while_it_runs_and_is_not_moved(
    guest: LibvirtGuest,
) -> None:
    running = guest.can_speak
    guest.hear(Heard.STOPPED, now_s=11.0)
    paused = guest.can_speak
    guest.hear(Heard.RESUMED, now_s=12.0)
    guest.hear(Heard.MOVED, now_s=12.0)
    moving = guest.can_speak

    assert running
    assert not paused
    assert not moving


def test_what_it_says_when_asked_is_as_new_as_the_question_whatever_its_stamp(
    guest: LibvirtGuest,
) -> None:
    old = said(at_s=time.time() - 0.9)
    guest.asked(exact({**old, "usable": 90_000}), asked_s=19.5, now_s=20.0)
    by_stamp_s = seen(guest).statistics_at_s
    guest.asked(exact({**old, "usable": 80_000}, fresh=True), asked_s=20.5, now_s=20.6)
    again = seen(guest)
    guest.asked(exact({**old, "usable": 80_000}, fresh=True), asked_s=21.5, now_s=21.6)
    the_same = seen(guest)

    assert by_stamp_s < 1019.5
    assert again.statistics_at_s == 1020.5
    assert again.statistics is not None
    assert again.statistics.available_bytes == 80_000 * 1024
    assert the_same.statistics_at_s == 1021.5


def test_its_ease_is_the_share_of_its_memory_that_is_available(guest: LibvirtGuest) -> None:
    assert guest.ease_ratio == 100_000 / 220_000
    assert LibvirtGuest("new", RUNNING, now_s=10.0).ease_ratio == 0.0


def test_figures_that_cannot_be_true_are_no_statistics(guest: LibvirtGuest) -> None:
    guest.told({**said(), "available": 2**40}, asked_s=11.0, now_s=11.0)

    assert seen(guest).statistics is None
