"""Whatever happens, in whatever order, nothing is promised twice and nobody is hurt by us.

1,100 runs of 110 events each; more with the profile "soak":

    BAROSTAT_SOAK_RUNS=50000 pytest tests/property/machine --hypothesis-profile=soak --timeout=0
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.property.machine.machine import Machine
from tests.property.machine.quiet import Quiet

PARTS = 4
"""So that several workers share the runs."""

ANYTHING = "anything happens to guests and their host, in any order"
Note = Callable[[str, object], None]

MACHINES, STEPS = 1100, 110
QUIET_MACHINES, QUIET_STEPS = 240, 30


def bounds(runs: int, steps: int) -> settings:
    """Say how long to go on; in a soak as long as its profile says."""
    if settings.get_current_profile_name() == "soak":
        runs = settings.get_profile("soak").max_examples
    return settings(
        max_examples=runs // PARTS,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],  # on a machine that is busy otherwise
    )


def of_its_own(machine: type[Machine], part: int) -> type[Machine]:
    """Have each part find what the others do not, where chance is the same each time (in CI)."""
    own = type(machine.__name__, (machine,), {})
    return seed(part)(own) if settings().derandomize else own


@pytest.mark.timeout(900)  # what is found is made smaller for some minutes
@pytest.mark.trust("capacity", ANYTHING)
@pytest.mark.trust("confirmed", ANYTHING)
@pytest.mark.trust("minimum", ANYTHING)
@pytest.mark.trust("ends", ANYTHING)
@pytest.mark.trust("doubt", ANYTHING)
@pytest.mark.trust("restart", ANYTHING)
@pytest.mark.trust("start", ANYTHING)
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happens_nothing_is_promised_twice_and_nobody_is_hurt(
    part: int, record_property: Note
) -> None:
    limits = bounds(MACHINES, STEPS)
    run_state_machine_as_test(of_its_own(Machine, part), settings=limits)
    record_property("cases", limits.max_examples * limits.stateful_step_count)


@pytest.mark.timeout(900)
@pytest.mark.trust("rest", ANYTHING)
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_happened_it_comes_to_rest_when_nothing_happens_any_more(
    part: int, record_property: Note
) -> None:
    limits = bounds(QUIET_MACHINES, QUIET_STEPS)
    run_state_machine_as_test(of_its_own(Quiet, part), settings=limits)
    record_property("cases", limits.max_examples * limits.stateful_step_count)
