"""What an agent says is believed only as far as it can be true, and only while it is of now."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.unit.agent_peer import BOOT, hello, line, report
from tests.unit.builders import devices

from barostat.core.observation import Depth, Devices, GuestObservation, RunState
from barostat.core.statistics import Statistics
from barostat.guest.belief import deepened, plausible
from barostat.guest.conversation import BURST_LINES, Conduct, Conversation, MisbehavingError
from barostat.guest.pauses import Pauses
from barostat.guest.protocol import LINE_BYTES, Done, Hello, Report, parse
from barostat.units import GIB, MIB

SESSION = "0123456789abcdef"
FIGURES = set(json.loads(report(SESSION, 1))) - {"v", "type", "session", "boot", "seq", "why"}
OTHER_BOOT = "00000000-0000-4000-8000-000000000000"


def said(**words: object) -> Report:
    parsed = parse(report(SESSION, 1, **words).rstrip())  # type: ignore[arg-type]
    assert isinstance(parsed, Report)
    return parsed


def seen(has: Devices | None = None) -> GuestObservation:
    return GuestObservation(
        name="web",
        run_state=RunState.RUNNING,
        devices=has or devices(),
        statistics=Statistics(total_bytes=960 * MIB, available_bytes=600 * MIB),
        seen_at_s=100.0,
        statistics_at_s=99.5,
        disturbed_at_s=10.0,
    )


def test_a_guest_is_seen_from_within_by_what_its_agent_says() -> None:
    deep = deepened(seen(), said(stalled_us=40, refaulted=MIB, scanned=2 * MIB), at_s=99.8)

    assert deep is not None
    assert (deep.depth, deep.statistics_at_s) == (Depth.AGENT, 99.8)
    assert deep.statistics is not None
    assert deep.statistics.available_bytes == 640 * MIB
    assert deep.statistics.disk_caches_bytes == 200 * MIB
    assert deep.inside is not None
    assert (deep.inside.at_s, deep.inside.committed_bytes) == (99.8, 500 * MIB)
    assert (deep.inside.stalled_us, deep.inside.refaulted_bytes) == (40, MIB)
    assert deep.inside.scanned_bytes == 2 * MIB


def test_the_newer_statistics_count_whoever_said_them() -> None:
    guest = seen()

    deep = deepened(guest, said(), at_s=99.2)

    assert deep is not None
    assert (deep.statistics, deep.statistics_at_s) == (guest.statistics, 99.5)
    assert deep.heard_by is Depth.AGENT


def test_a_guest_without_balloon_statistics_is_known_by_its_agents() -> None:
    deep = deepened(replace(seen(), statistics=None, statistics_at_s=500.0), said(), at_s=99.2)

    assert deep is not None
    assert deep.statistics is not None
    assert deep.statistics_at_s == 99.2


@pytest.mark.parametrize(
    "words",
    [
        {"total": 1100 * MIB},
        {"total": 2**63 - 1},
        {"total": 0, "available": 0, "free": 0},
        {"available": 961 * MIB},
        {"free": 961 * MIB},
    ],
)
def test_figures_that_cannot_be_true_are_no_data(words: dict[str, int]) -> None:
    assert deepened(seen(), said(**words), at_s=99.8) is None


def test_plugged_memory_counts_when_it_is_there_or_asked_for() -> None:
    growing = seen(devices(plugged=0, requested=512))
    shrinking = seen(devices(plugged=512, requested=0))

    for guest in (growing, shrinking):
        assert deepened(guest, said(total=1400 * MIB), at_s=99.8) is not None


def test_a_claim_of_endless_commitment_is_passed_on_for_core_to_bound() -> None:
    deep = deepened(seen(), said(committed=2**63 - 1), at_s=99.8)

    assert deep is not None
    assert deep.inside is not None
    assert deep.inside.committed_bytes == 2**63 - 1


@pytest.mark.parametrize("name", ["swap_out", "major_faults", "oom_kills", "refaulted", "scanned"])
def test_a_counter_that_falls_within_a_boot_stands_where_it_was(name: str) -> None:
    field = name if name in {"major_faults", "oom_kills"} else f"{name}_bytes"
    now = plausible(said(**{name: 500}), said(**{name: 400}), elapsed_s=1.0)

    assert now is not None
    assert getattr(now, field) == 500


@pytest.mark.parametrize("name", ["oom_kills", "stalled_us", "alloc_stalls"])
def test_a_counter_that_is_left_out_for_once_stands_where_it_was(name: str) -> None:
    now = plausible(said(**{name: 500}), said(**{name: None}), elapsed_s=1.0)

    assert now is not None
    assert getattr(now, name) == 500


@pytest.mark.parametrize("name", ["oom_kills", "stalled_us"])
def test_a_counter_that_a_kernel_never_had_is_not_missed(name: str) -> None:
    now = plausible(said(**{name: None}), said(**{name: None}), elapsed_s=1.0)

    assert now is not None
    assert getattr(now, name) is None


@pytest.mark.parametrize(
    ("name", "believed", "absurd"),
    [
        ("swap_in", 100 * GIB, 129 * GIB),
        ("refaulted", 100 * GIB, 2**62),
        ("scanned", 100 * GIB, 129 * GIB),
        ("major_faults", 2**24, 2**26),
        ("alloc_stalls", 2**24, 2**26),
    ],
)
def test_a_volume_that_no_machine_moves_drops_the_report(
    name: str, believed: int, absurd: int
) -> None:
    assert plausible(said(), said(**{name: believed}), elapsed_s=1.0) is not None
    assert plausible(said(), said(**{name: absurd}), elapsed_s=1.0) is None


def test_a_guest_stalls_no_longer_than_time_passes() -> None:
    before = said(stalled_us=1_000_000)

    now = plausible(before, said(stalled_us=90_000_000, full_stalled_us=7), elapsed_s=2.0)

    assert now is not None
    assert now.stalled_us == 1_000_000 + 2_200_000
    assert now.full_stalled_us == 7


def test_a_true_stall_that_was_read_late_is_made_up_for_with_the_next_report() -> None:
    first = plausible(said(), said(stalled_us=900_000), elapsed_s=0.1)
    assert first is not None
    assert first.stalled_us == 110_000

    second = plausible(first, said(stalled_us=950_000), elapsed_s=1.0)

    assert second is not None
    assert second.stalled_us == 950_000


def talking(*, at_s: float = 0.0) -> Conversation:
    """A session whose agent has greeted."""
    talk = Conversation(SESSION, Conduct(at_s), began_s=at_s)
    assert isinstance(talk.hear(hello(SESSION).rstrip(), at_s), Hello)
    return talk


def test_only_what_is_of_this_session_and_boot_and_grows_is_heard() -> None:
    talk = talking()

    heard = [
        talk.hear(raw.rstrip(), 1.0)
        for raw in (
            report("fedcba9876543210", 1),
            report("", 1),
            report(SESSION, 1, boot=OTHER_BOOT),
            report(SESSION, 5),
            report(SESSION, 5),
            report(SESSION, 4),
            line(type="done", session="", boot=BOOT, id=1, ok=True),
            line(type="done", session=SESSION, boot=BOOT, id=1, ok=True),
            line(type="weather"),
        )
    ]

    assert [type(one) for one in heard if one is not None] == [Report, Done]
    assert isinstance(heard[3], Report)
    assert talk.report == heard[3]


def test_before_the_hello_nothing_is_heard() -> None:
    talk = Conversation(SESSION, Conduct(0.0), began_s=0.0)

    assert talk.hear(report(SESSION, 1).rstrip(), 0.0) is None


def test_an_agent_that_waits_to_be_welcomed_begins_nothing() -> None:
    talk = talking()

    stranger = talk.hear(hello("", boot=OTHER_BOOT).rstrip(), 1.0)

    assert isinstance(stranger, Hello)
    assert talk.hello is not None
    assert talk.hello.boot == BOOT


def test_an_agent_that_greets_again_counts_from_one_again() -> None:
    talk = talking()
    talk.hear(report(SESSION, 90).rstrip(), 1.0)

    talk.hear(hello(SESSION).rstrip(), 2.0)

    assert isinstance(talk.hear(report(SESSION, 1, swap_out=0).rstrip(), 3.0), Report)
    assert talk.report is not None
    assert talk.report.swap_out_bytes == MIB  # the same boot: its counters cannot have fallen


def test_after_another_boot_counters_begin_anew() -> None:
    talk = talking()
    talk.hear(report(SESSION, 1, swap_out=50 * MIB).rstrip(), 1.0)

    talk.hear(hello(SESSION, boot=OTHER_BOOT).rstrip(), 2.0)
    assert talk.report is None
    talk.hear(report(SESSION, 1, boot=OTHER_BOOT, swap_out=0).rstrip(), 2.1)

    assert talk.report is not None
    assert talk.report.swap_out_bytes == 0


def test_a_report_that_is_dropped_leaves_the_last_and_says_why() -> None:
    talk = talking()
    talk.hear(report(SESSION, 1).rstrip(), 1.0)

    assert talk.hear(report(SESSION, 2, swap_in=2**62).rstrip(), 2.0) is None
    assert "faster than memory can be moved" in talk.doubt
    assert talk.report_at_s == 1.0

    assert talk.hear(report(SESSION, 3).rstrip(), 3.0) is not None
    assert talk.doubt == ""


def test_one_boot_that_nobody_saw_is_believed_and_a_second_is_not() -> None:
    talk = talking()
    talk.hear(hello(SESSION, boot=OTHER_BOOT).rstrip(), 20.0)

    with pytest.raises(MisbehavingError, match="booted twice within 10 s"):
        talk.hear(hello(SESSION, boot=BOOT).rstrip(), 29.0)


def test_boots_that_are_far_enough_apart_are_believed() -> None:
    talk = talking()

    for number in range(1, 5):
        talk.hear(hello(SESSION, boot=f"boot-{number}").rstrip(), 11.0 * number)

    assert talk.hello is not None
    assert talk.hello.boot == "boot-4"


def test_a_second_bad_line_is_forgiven_and_a_third_within_a_minute_is_not() -> None:
    talk = talking()
    for at_s in (0.0, 30.0):
        assert talk.hear(b"half a li", at_s) is None
    assert talk.hear(b"half a li", 61.0) is None

    with pytest.raises(MisbehavingError, match="3 bad lines within a minute") as caught:
        talk.hear(b"half a li", 62.0)
    assert "half" not in caught.value.message


def burst(conduct: Conduct, *, at_s: float) -> None:
    for _ in range(BURST_LINES):
        conduct.line(at_s)


def test_an_agent_may_send_a_burst_and_then_its_share() -> None:
    conduct = Conduct(0.0)
    burst(conduct, at_s=0.0)
    for number in range(200):
        conduct.line(1.0 + number / 25)

    with pytest.raises(MisbehavingError, match="more than 25 lines a second"):
        burst(conduct, at_s=9.0)


def test_pauses_grow_to_their_bounds_and_begin_anew_after_a_long_peace() -> None:
    pauses = Pauses()
    short = [pauses.after(0.0, misbehaved=False) for _ in range(8)]
    long = [pauses.after(1.0, misbehaved=True) for _ in range(8)]

    assert short[0] == pytest.approx(0.2, rel=0.2)
    assert short[-1] == pytest.approx(10.0, rel=0.2)
    assert long[:2] == [pytest.approx(10.0, rel=0.2), pytest.approx(20.0, rel=0.2)]
    assert long[-1] == pytest.approx(600.0, rel=0.2)
    assert pauses.after(10.0, misbehaved=False) == pytest.approx(0.2, rel=0.2)
    assert pauses.after(599.0, misbehaved=True) == pytest.approx(600.0, rel=0.2)
    assert pauses.after(600.0, misbehaved=True) == pytest.approx(10.0, rel=0.2)


def test_a_report_of_the_largest_figures_fits_into_a_line() -> None:
    figures = dict.fromkeys(FIGURES, 2**63 - 1)

    assert len(report(SESSION, 2**63 - 1, **figures)) < LINE_BYTES // 4  # type: ignore[arg-type]
