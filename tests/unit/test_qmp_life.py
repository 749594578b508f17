"""What a guest is doing, by its events and answers."""

from __future__ import annotations

import pytest

from barostat.core.observation import RunState
from barostat.hypervisors.qmp_life import Life


def running() -> Life:
    life = Life(now_s=0.0)
    life.told(status="running", migration="", now_s=1.0)
    life.loaded = True
    return life


def test_a_guest_that_runs_is_booting_until_its_driver_has_spoken() -> None:
    silent, loaded = Life(now_s=0.0), Life(now_s=0.0)

    loaded.loaded = True

    assert (silent.run_state, loaded.run_state) == (RunState.BOOTING, RunState.RUNNING)


def test_a_guest_without_a_balloon_has_no_driver_to_wait_for() -> None:
    life = Life(now_s=0.0)
    life.has_balloon = False

    assert life.run_state is RunState.RUNNING


@pytest.mark.parametrize(
    ("event", "data", "state", "disturbed_s"),
    [
        ("RESET", None, RunState.BOOTING, 5.0),
        ("STOP", None, RunState.PAUSED, 0.0),
        ("SUSPEND", None, RunState.PAUSED, 0.0),
        ("WAKEUP", None, RunState.RUNNING, 0.0),
        ("SHUTDOWN", {"guest": True, "reason": "guest-shutdown"}, RunState.PAUSED, 0.0),
        ("GUEST_PANICKED", {"action": "run"}, RunState.RUNNING, 5.0),
        ("RESUME", None, RunState.RUNNING, 0.0),
        ("MIGRATION", {"status": "setup"}, RunState.MIGRATING, 0.0),
        ("MIGRATION", {"status": "postcopy-active"}, RunState.MIGRATING, 0.0),
        ("MIGRATION", {"status": ["active"]}, RunState.RUNNING, 0.0),
        ("MIGRATION", None, RunState.RUNNING, 0.0),
        ("BALLOON_CHANGE", {"actual": 1}, RunState.RUNNING, 0.0),
    ],
)
def test_an_event_changes_what_a_running_guest_does(
    event: str, data: object, state: RunState, disturbed_s: float
) -> None:
    life = running()

    life.hear(event, data, 5.0)

    assert (life.run_state, life.disturbed_s) == (state, disturbed_s)


@pytest.mark.parametrize(("stops", "goes_on"), [("STOP", "RESUME"), ("SUSPEND", "WAKEUP")])
def test_a_guest_that_stood_still_is_disturbed_as_it_goes_on(stops: str, goes_on: str) -> None:
    life = running()
    life.hear(stops, None, 2.0)

    life.hear(goes_on, None, 3.0)

    assert (life.run_state, life.disturbed_s) == (RunState.RUNNING, 3.0)


@pytest.mark.parametrize("end", ["completed", "cancelled", "failed"])
def test_the_end_of_a_migration_disturbs(end: str) -> None:
    life = running()
    life.hear("MIGRATION", {"status": "active"}, 2.0)

    life.hear("MIGRATION", {"status": end}, 3.0)

    assert (life.run_state, life.disturbed_s) == (RunState.RUNNING, 3.0)
