"""When the host brakes, how hard, and when it lets go."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.host_folder import mib

from barostat.core.explain import sentence
from barostat.core.reasons import ReasonCode
from barostat.host.brake import BrakeState, Stage, alarms, brake, wanted_back_bytes
from barostat.host.memory import Memory
from barostat.host.policy import HostPolicy
from barostat.units import GIB, MIB

POLICY = HostPolicy()
TOTAL_MIB = 100 * 1024
LOW, CRITICAL, RELEASE, COMFORT = 2048, 1024, 3072, 20480  # MiB of that


@dataclass
class Car:
    """A host of 100 GiB that is looked at once a second."""

    state: BrakeState = field(default_factory=BrakeState)
    now_s: float = 0.0
    swapped_out: float = 0.0
    memory: Memory = field(default_factory=lambda: memory(50_000))

    def drive(
        self, seconds: int, available: int = 50_000, *, stalls: float | None = 0.0, swap: float = 0
    ) -> Stage:
        """Look at it for so long; sizes in MiB."""
        for _ in range(seconds):
            self.now_s += 1
            self.swapped_out += swap
            self.memory = memory(available, stalls=stalls, swapped_out=self.swapped_out)
            self.state = brake(self.state, self.memory, now_s=self.now_s, policy=POLICY)
        return self.state.stage

    @property
    def wanted(self) -> int:
        return mib(wanted_back_bytes(self.state, self.memory, POLICY))

    @property
    def codes(self) -> list[ReasonCode]:
        return [alarm.code for alarm in alarms(self.state, self.memory, POLICY)]


def memory(available: int, *, stalls: float | None = 0.0, swapped_out: float = 0) -> Memory:
    return Memory(
        total_bytes=100 * GIB,
        available_bytes=available * MIB,
        swapped_out_bytes=int(swapped_out * MIB),
        stall_ratio=stalls,
    )


def test_a_host_with_enough_memory_does_not_brake() -> None:
    car = Car()

    assert car.drive(60, LOW) is Stage.FREE
    assert car.codes == []
    assert car.wanted == 0


def test_little_available_memory_brakes_at_once() -> None:
    car = Car()

    assert car.drive(1, LOW - 1) is Stage.HOLDING
    assert car.codes == [ReasonCode.HOST_LOW]
    assert car.wanted == 0


def test_what_lasts_takes_memory_back() -> None:
    car = Car()

    assert car.drive(10, LOW - 1) is Stage.HOLDING
    assert car.drive(1, LOW - 1) is Stage.TAKING
    assert car.wanted == RELEASE - LOW + 1
    assert car.codes == [ReasonCode.HOST_LOW, ReasonCode.HOST_TAKES_BACK]


def test_next_to_no_available_memory_takes_memory_back_at_once() -> None:
    car = Car()

    assert car.drive(1, CRITICAL - 1) is Stage.TAKING
    assert car.wanted == RELEASE - CRITICAL + 1


def test_what_comes_and_goes_does_not_take_memory_back() -> None:
    car = Car()

    stages = {car.drive(1, LOW + 1 if second % 5 == 4 else LOW - 1) for second in range(60)}

    assert stages == {Stage.HOLDING}


def test_memory_is_taken_back_until_more_than_just_enough_is_there() -> None:
    car = Car()
    car.drive(1, CRITICAL - 1)

    assert car.drive(5, LOW + 100) is Stage.TAKING
    assert car.wanted == RELEASE - LOW - 100
    assert car.drive(1, RELEASE) is Stage.HOLDING
    assert car.wanted == 0


def test_brakes_are_let_go_after_a_calm() -> None:
    car = Car()
    car.drive(1, LOW - 1)

    assert car.drive(10, RELEASE) is Stage.HOLDING
    assert car.codes == [ReasonCode.HOST_RECOVERING]
    assert car.drive(1, RELEASE) is Stage.FREE


def test_a_calm_that_is_broken_begins_anew() -> None:
    car = Car()
    car.drive(1, LOW - 1)
    car.drive(9, RELEASE)

    car.drive(1, RELEASE - 1)

    assert car.drive(10, RELEASE) is Stage.HOLDING
    assert car.drive(1, RELEASE) is Stage.FREE


def test_stalls_brake_where_little_is_available() -> None:
    car = Car()

    assert car.drive(1, COMFORT - 1, stalls=0.11) is Stage.HOLDING
    assert car.codes == [ReasonCode.HOST_STALLS]


def test_stalls_that_last_take_memory_back_step_by_step_up_to_comfort() -> None:
    car = Car()

    assert car.drive(11, 10_000, stalls=0.3) is Stage.TAKING
    assert car.wanted == TOTAL_MIB // 100
    car.drive(1, COMFORT - 10, stalls=0.3)
    assert car.wanted == 10


def test_stalls_of_something_with_a_limit_of_its_own_do_not_brake() -> None:
    assert Car().drive(60, COMFORT, stalls=0.9) is Stage.FREE


def test_stalls_hold_on_to_brakes_until_they_are_nearly_gone() -> None:
    car = Car()
    car.drive(1, 10_000, stalls=0.11)

    assert car.drive(60, 10_000, stalls=0.08) is Stage.HOLDING
    assert car.drive(12, 10_000, stalls=0.05) is Stage.FREE


def test_swapping_brakes_when_it_lasts_a_few_seconds() -> None:
    car = Car()
    car.drive(5, 10_000)

    assert car.drive(2, 10_000, swap=2) is Stage.FREE
    assert car.drive(10, 10_000, swap=2) is Stage.HOLDING
    assert ReasonCode.HOST_SWAPS in car.codes


def test_what_was_swapped_out_before_the_first_look_is_no_swapping() -> None:
    car = Car(swapped_out=5000.0)

    car.drive(1, 10_000)

    assert car.state.swap_out_bytes_per_s == 0


def test_a_kernel_without_psi_brakes_on_what_is_available() -> None:
    car = Car()

    assert car.drive(5, LOW, stalls=None) is Stage.FREE
    assert car.drive(1, LOW - 1, stalls=None) is Stage.HOLDING


def test_a_second_look_at_the_same_moment_changes_nothing() -> None:
    car = Car()
    car.drive(3, 10_000, swap=3)

    again = brake(car.state, memory(10_000, swapped_out=900), now_s=car.now_s, policy=POLICY)

    assert again.swap_out_bytes_per_s == car.state.swap_out_bytes_per_s


def test_alarms_say_numbers() -> None:
    car = Car()
    car.drive(11, 1500, stalls=0.35)

    said = " ".join(sentence(alarm) for alarm in alarms(car.state, car.memory, POLICY))

    assert "only 1500 MiB of the host's 100.0 GiB" in said
    assert "35 %" in said
    assert "1572 MiB back" in said


@given(st.lists(st.tuples(st.integers(0, 60_000), st.floats(0, 1), st.floats(0, 50)), max_size=60))
def test_whatever_is_seen_brakes_and_alarms_agree(looks: list[tuple[int, float, float]]) -> None:
    car = Car()
    for available, stalls, swap in looks:
        stage = car.drive(1, available, stalls=stalls, swap=swap)

        assert (stage is Stage.FREE) == (car.codes == [])
        assert stage is Stage.TAKING or car.wanted == 0
        assert car.wanted <= TOTAL_MIB // 10
        assert stage is not Stage.FREE or available >= LOW


@pytest.mark.parametrize("available", [0, 1, TOTAL_MIB])
def test_the_edges_are_judged(available: int) -> None:
    assert Car().drive(1, available) in {Stage.FREE, Stage.TAKING}
