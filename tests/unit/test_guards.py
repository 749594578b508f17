"""Every rule that protects a guest or the host: with it a scenario holds, without it it breaks.

A guard is one small function (or constant) of the core, marked SAFETY there. Here each is switched
off in turn. A scenario answers whether all went well; that it breaks without its guard shows that
it is the guard that protects, and that the scenario would notice.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit import fence_scenarios, paging_scenarios
from tests.unit import guard_scenarios as scenarios
from tests.unit.guard_scenarios import PLENTY

import barostat.core
from barostat.core.assess import Assessment
from barostat.core.cooperation import Trust
from barostat.core.ledger import Ledger
from barostat.core.observation import RunState
from barostat.core.policy import Policy


@dataclass(frozen=True)
class Guard:
    """A rule, what it is for, how it is switched off, and a scenario that notices."""

    rule: str
    promise: str
    where: str
    off: object
    scenario: Callable[[], bool]


def given(value: object) -> Callable[..., object]:
    """A function that answers the same whatever it is asked: how most guards are switched off."""
    return lambda *_args, **_kwargs: value


def same_pause_every_time(trust: Trust, now_s: float, first_s: float, _: Policy) -> Trust:
    return Trust(failures=trust.failures + 1, rest_until_s=now_s + first_s)


def only_passed_over(
    known: Mapping[str, Assessment], turn: Collection[str], _ledger: Ledger
) -> None:
    for name, item in known.items():
        if name not in turn:
            item.pass_over()


CORE = "barostat.core"
GUARDS = [
    Guard(
        "grants come only from memory in hand",
        "confirmed",
        f"{CORE}.ledger._covered_bytes",
        lambda more, _in_hand: more,
        scenarios.busy_guest_waits_for_memory_that_another_still_has,
    ),
    Guard(
        "when the host lost memory nothing is granted",
        "capacity",
        f"{CORE}.ledger._covered_bytes",
        lambda more, _in_hand: more,
        scenarios.host_that_lost_memory_grants_nothing,
    ),
    Guard(
        "memory asked back stays promised until it is seen to leave",
        "confirmed",
        f"{CORE}.decide.held_bytes",
        lambda _actual, _wished, goal: goal,
        scenarios.memory_that_was_asked_back_is_not_granted_before_it_has_left,
    ),
    Guard(
        "what a guest takes by itself is promised at once",
        "capacity",
        f"{CORE}.decide.held_bytes",
        lambda _actual, _wished, goal: goal,
        scenarios.memory_that_a_guest_took_back_by_itself_is_not_granted_to_another,
    ),
    Guard(
        "what is not taken yet is recalled when it is gone",
        "capacity",
        f"{CORE}.outstanding._recalled",
        given(False),
        scenarios.a_grow_under_way_ends_when_its_memory_is_gone,
    ),
    Guard(
        "a guest that boots holds all its base RAM",
        "capacity",
        f"{CORE}.decide._unguarded_bytes",
        given(0),
        scenarios.memory_of_a_guest_that_boots_is_not_granted_to_another,
    ),
    Guard(
        "a guest that was stopped before it spoke may be booting",
        "capacity",
        f"{CORE}.decide._may_boot",
        lambda guest: guest.run_state is RunState.BOOTING,
        scenarios.memory_of_a_guest_that_was_stopped_while_it_booted_is_not_granted_to_another,
    ),
    Guard(
        "what is recalled stays promised until it is seen not to be taken",
        "confirmed",
        f"{CORE}.cooperation._not_seen_to_be_left_bytes",
        given(0),
        scenarios.a_grant_that_was_recalled_unseen_is_not_made_again,
    ),
    Guard(
        "what is cancelled in vain is cancelled again",
        "ends",
        f"{CORE}.lines._foreign",
        lambda wish, sizes, *_: not wish.ours and sizes.unfinished,
        scenarios.what_a_guest_may_take_by_a_wish_that_is_no_more_does_not_stay_promised,
    ),
    Guard(
        "a grant outlives a reset",
        "capacity",
        f"{CORE}.guest_state._still_granted",
        given(None),
        scenarios.a_grant_on_its_way_is_not_made_again_when_its_guest_is_reset,
    ),
    Guard(
        "what is not granted out of turn is not promised",
        "confirmed",
        f"{CORE}.decide._leave_waiting",
        only_passed_over,
        scenarios.what_waits_for_its_turn_is_not_promised,
    ),
    Guard(
        "nobody grows while the host itself is short",
        "capacity",
        f"{CORE}.plan._may_grow",
        given(True),
        scenarios.nobody_grows_on_a_host_that_is_itself_short,
    ),
    Guard(
        "what is not taken yet is recalled when the host itself is short",
        "capacity",
        f"{CORE}.outstanding._recalled",
        given(False),
        scenarios.a_grow_under_way_ends_when_the_host_is_itself_short,
    ),
    Guard(
        "nobody starts while the host itself is short",
        "start",
        f"{CORE}.admission._covered",
        lambda missing, ledger, **_: missing <= ledger.in_hand_bytes,
        scenarios.nobody_starts_on_a_host_that_is_itself_short,
    ),
    Guard(
        "what the host wants back comes from the guests, not out of the ledger",
        "capacity",
        f"{CORE}.decide._owed_bytes",
        lambda _ledger, wanted: wanted,
        scenarios.a_host_that_wants_memory_back_has_it_from_the_guests,
    ),
    Guard(
        "a guest whose memory cannot be freed is not asked for it",
        "confirmed",
        f"{CORE}.assess._fake",
        given(None),
        scenarios.what_a_guest_gives_and_the_host_does_not_get_is_not_given_to_another,
    ),
    Guard(
        "no more is plugged at once than the guest can describe",
        "unharmed",
        f"{CORE}.reach._carried_bytes",
        given(PLENTY),
        scenarios.a_guest_with_hardly_a_free_page_is_plugged_in_steps,
    ),
    Guard(
        "nothing goes below the minimum",
        "minimum",
        f"{CORE}.lines._guaranteed_bytes",
        given(0),
        scenarios.nothing_is_taken_below_the_minimum,
    ),
    Guard(
        "a step is bounded by what is available",
        "unharmed",
        f"{CORE}.taking.spare_bytes",
        given(PLENTY),
        scenarios.a_step_leaves_the_guest_room,
    ),
    Guard(
        "what is available is taken once",
        "unharmed",
        f"{CORE}.lines.available_bytes",
        lambda state, **_: state.statistics.available_bytes,
        scenarios.two_steps_are_not_taken_out_of_the_same_available_memory,
    ),
    Guard(
        "what a guest needs is never taken for the pool",
        "unharmed",
        f"{CORE}.taking._needed_by_others_bytes",
        lambda line, _waited_for: line.excess_bytes,
        scenarios.the_pool_is_not_filled_from_what_a_guest_needs,
    ),
    Guard(
        "no paging where the balloon does not give way, but by unplug",
        "unharmed",
        f"{CORE}.lines._pageable_bytes",
        given(PLENTY),
        scenarios.a_guest_whose_balloon_does_not_give_way_is_not_made_to_page,
    ),
    Guard(
        "a container's limit is no reason to give its guest more",
        "neighbours",
        f"{CORE}.stalls._short_itself",
        given(True),
        scenarios.a_container_at_its_own_limit_is_not_given_more,
    ),
    Guard(
        "what a guest that waits has idle is left in it",
        "unharmed",
        f"{CORE}.taking._held_until_s",
        given(0.0),
        scenarios.nothing_is_trickled_from_a_guest_that_just_waited_for_memory,
    ),
    Guard(
        "only a guest whose agent is heard is trimmed",
        "doubt",
        f"{CORE}.trimming._heard",
        given(True),
        scenarios.a_guest_that_cannot_say_at_once_that_it_waits_is_not_trimmed,
    ),
    Guard(
        "trimming keeps clear of what hurts",
        "unharmed",
        f"{CORE}.trimming._least_bytes",
        given(0),
        scenarios.a_guest_is_not_trimmed_into_what_its_kernel_needs,
    ),
    Guard(
        "the kernel's share is bounded",
        "neighbours",
        f"{CORE}.demand.hidden_bytes",
        lambda sizes, now: sizes.actual_bytes + sizes.inside_bytes - now.total_bytes,
        scenarios.memory_that_never_came_online_is_not_demand,
    ),
    *(
        Guard(
            f"nothing shrinks while {state.value}",
            "doubt",
            f"{CORE}.assess.PINNED_BY_STATE",
            {},
            scenarios.idle_guest_is_not_shrunk(state),
        )
        for state in RunState
        if state is not RunState.RUNNING
    ),
    Guard(
        "nothing shrinks on stale statistics",
        "doubt",
        f"{CORE}.assess._unheard",
        given(None),
        scenarios.guest_that_fell_silent_is_not_shrunk,
    ),
    Guard(
        "nothing shrinks without statistics",
        "doubt",
        f"{CORE}.assess._unheard",
        given(None),
        scenarios.guest_that_cannot_be_believed_is_not_shrunk,
    ),
    Guard(
        "a shrink ends when its guest cannot be judged",
        "doubt",
        f"{CORE}.assess._halt",
        given(None),
        scenarios.guest_that_falls_silent_while_it_gives_is_told_to_stop,
    ),
    Guard(
        "nothing shrinks while it settles",
        "doubt",
        f"{CORE}.lines._settling",
        given(None),
        scenarios.guest_that_just_started_is_not_shrunk,
    ),
    Guard(
        "one outstanding wish a guest",
        "ends",
        f"{CORE}.outstanding._wait",
        given(False),
        scenarios.guest_is_asked_for_one_thing_at_a_time,
    ),
    Guard(
        "a stuck guest is let go",
        "ends",
        f"{CORE}.cooperation._out_of_patience",
        given(False),
        scenarios.guest_that_gives_nothing_is_let_go,
    ),
    Guard(
        "a guest that did not give rests",
        "ends",
        f"{CORE}.lines._resting",
        given(None),
        scenarios.guest_that_gave_nothing_is_left_alone_for_a_while,
    ),
    Guard(
        "a guest that did not take rests",
        "rest",
        f"{CORE}.lines._resting",
        given(None),
        scenarios.guest_that_takes_nothing_is_not_granted_again_at_once,
    ),
    Guard(
        "pauses grow",
        "rest",
        f"{CORE}.cooperation._pause",
        same_pause_every_time,
        scenarios.guest_that_gives_nothing_is_asked_less_and_less,
    ),
    Guard(
        "what does not come out of a guest counts as taken",
        "confirmed",
        f"{CORE}.lines.least_bytes",
        lambda line: line.minimum_bytes,
        scenarios.others_are_asked_for_what_a_resting_guest_does_not_give,
    ),
    Guard(
        "an overtaken shrink is cancelled",
        "unharmed",
        f"{CORE}.outstanding._needed_back",
        given(False),
        scenarios.guest_that_runs_short_while_it_gives_is_told_to_stop,
    ),
    Guard(
        "buffers do not eat the pool",
        "unharmed",
        f"{CORE}.plan._kept_from_buffers",
        given(0),
        scenarios.buffers_leave_the_pool_alone,
    ),
    Guard(
        "what a starting VM waits for is set aside",
        "start",
        f"{CORE}.plan._kept_from_need",
        given(0),
        scenarios.memory_that_a_starting_vm_waits_for_is_not_given_to_others,
    ),
    Guard(
        "an admitted VM keeps its memory",
        "start",
        f"{CORE}.admission._kept_bytes",
        given(0),
        scenarios.memory_of_an_admitted_vm_stays_its_own,
    ),
    Guard(
        "what a guest needs is taken only for a heavier VM",
        "unharmed",
        f"{CORE}.admission._weight",
        given(10_000),
        scenarios.nobody_pages_for_a_vm_that_weighs_no_more,
    ),
    Guard(
        "a VM that cannot start squeezes nobody",
        "neighbours",
        f"{CORE}.admission._obtainable_bytes",
        given(PLENTY),
        scenarios.nobody_is_squeezed_for_a_vm_that_cannot_start,
    ),
    Guard(
        "a fence is raised before its guest is given more",
        "unharmed",
        f"{CORE}.fence._given_bytes",
        lambda inmate: inmate.actual_bytes,
        fence_scenarios.a_fence_is_raised_before_its_guest_has_what_it_is_granted,
    ),
    Guard(
        "a hard fence leaves room for a restart",
        "unharmed",
        f"{CORE}.fence._restart_bytes",
        given(0),
        fence_scenarios.a_guest_may_restart_inside_a_hard_fence,
    ),
    Guard(
        "a fence is not lowered to what is in use",
        "unharmed",
        f"{CORE}.fence._in_use_bytes",
        given(0),
        fence_scenarios.a_fence_is_not_lowered_into_what_has_not_left,
    ),
    Guard(
        "no fence is lowered in doubt",
        "doubt",
        f"{CORE}.fence._in_doubt",
        given(False),
        fence_scenarios.a_fence_is_not_lowered_on_a_guest_that_cannot_be_judged,
    ),
    Guard(
        "a guest that moves to another host has no fence",
        "unharmed",
        f"{CORE}.fence._must_be_free",
        given(False),
        fence_scenarios.a_guest_that_moves_out_has_no_fence,
    ),
    Guard(
        "a VM that was off is not paged",
        "unharmed",
        f"{CORE}.paging._was_on",
        given(True),
        paging_scenarios.a_vm_that_was_off_is_not_paged,
    ),
    Guard(
        "a guest that runs is not paged",
        "unharmed",
        f"{CORE}.paging._runs_as_it_is",
        given(False),
        paging_scenarios.a_guest_that_runs_is_not_paged_when_the_host_loses_memory,
    ),
    Guard(
        "what a guest is guaranteed is memory, not swap",
        "minimum",
        f"{CORE}.paging._beyond_bytes",
        lambda promised, _minimum: promised,
        paging_scenarios.a_guest_that_restarts_has_its_minimum_in_memory,
    ),
    Guard(
        "paging ends",
        "unharmed",
        f"{CORE}.paging._too_long",
        given(False),
        paging_scenarios.paging_ends_though_no_memory_was_found,
    ),
    Guard(
        "a guest that moves to another host is not paged",
        "unharmed",
        f"{CORE}.paging._may_not_page",
        given(False),
        paging_scenarios.a_guest_that_moves_out_is_not_paged,
    ),
]
MARKED = [
    pytest.param(guard, id=guard.rule, marks=pytest.mark.trust(guard.promise)) for guard in GUARDS
]


@pytest.mark.parametrize("guard", MARKED)
def test_with_its_guard_a_rule_holds(guard: Guard) -> None:
    assert guard.scenario()


@pytest.mark.parametrize("guard", MARKED)
def test_without_its_guard_a_rule_breaks(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard.where, guard.off)

    assert not guard.scenario()


def safety_rules() -> Iterator[str]:
    """Name the function, or constant, that each SAFETY comment of the core stands in or before."""
    for path in sorted(Path(barostat.core.__file__).parent.glob("*.py")):
        text = path.read_text()
        functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
        lines = text.splitlines()
        for number, said in enumerate(lines, start=1):
            if "# SAFETY:" not in said:
                continue
            around = [f.name for f in functions if f.lineno <= number <= (f.end_lineno or 0)]
            below = re.match(r"(\w+)", next(x for x in lines[number:] if not x.startswith("#")))
            assert around or below
            yield around[-1] if around else below[1] if below else ""


def test_every_rule_that_the_core_calls_safety_has_its_guard_here() -> None:
    switched_off = {guard.where.rsplit(".", 1)[1] for guard in GUARDS}

    assert set(safety_rules()) == switched_off
