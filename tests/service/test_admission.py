"""The API asked whether a VM may start: answers, refusals, and who is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from barostat.engine.control import Control
from barostat.engine.starting import Answer, Outcome
from barostat.service.desk import LocalDesk
from barostat.service.making import start_of
from barostat.units import GIB, MIB

from .conftest import Daemon
from .test_api import assert_problem

PATH = "/v1/guests/new/admission"


@asynccontextmanager
async def ticking(daemon: Daemon) -> AsyncIterator[None]:
    """Look every few milliseconds meanwhile."""

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.02)
            await daemon.look()

    async with asyncio.TaskGroup() as tasks:
        ticks = tasks.create_task(tick())
        yield
        ticks.cancel()


async def test_a_vm_for_which_there_is_memory_may_start_and_is_shown(
    daemon: Daemon, api: httpx2.AsyncClient
) -> None:
    async with ticking(daemon):
        answer = (await api.post(PATH, json={"size_bytes": GIB, "weight": 1})).json()
        await asyncio.sleep(0.1)
        host = (await api.get("/v1/host")).json()
        metrics = (await api.get("/metrics")).text

    assert answer == {
        "guest": "new",
        "outcome": "admitted",
        "may_start": True,
        "size_bytes": GIB,
        "available_bytes": GIB,
        "kept_s": 120,
        "says": "new may start: 1024 MiB are set aside for it for 120 s",
    }
    [found] = host["starting"]
    assert found == {"name": "new", "size_bytes": GIB, "set_aside_bytes": GIB}
    assert "barostat_starting_vms 1.0" in metrics
    assert f"barostat_set_aside_bytes {float(GIB):.12g}" in metrics or "1.073741824e+09" in metrics


async def test_a_refusal_says_what_is_needed_and_what_there_is(
    daemon: Daemon, api: httpx2.AsyncClient
) -> None:
    async with ticking(daemon):
        answer = (await api.post(PATH, json={"size_bytes": 9 * GIB, "weight": 1})).json()

    assert (answer["outcome"], answer["may_start"], answer["kept_s"]) == ("no-room", False, None)
    assert answer["available_bytes"] < 4 * GIB
    assert "not enough memory to start new: it needs 9216 MiB, and 3072 MiB" in answer["says"]


async def test_what_was_set_aside_is_given_up_and_both_are_in_the_audit(
    daemon: Daemon, api: httpx2.AsyncClient
) -> None:
    async with ticking(daemon):
        await api.post(PATH, json={"size_bytes": GIB, "weight": 1})
        first, second = [(await api.delete(PATH)).json() for _ in range(2)]

    assert first == {"guest": "new", "released_bytes": GIB}
    assert second == {"guest": "new", "released_bytes": None}
    admitted, released = daemon.trail.entries
    assert (admitted.what, admitted.guest) == ("admit", "new")
    assert admitted.after == {"outcome": "admitted", "size_bytes": GIB}
    assert (released.what, released.before) == ("release", {"size_bytes": GIB})


async def test_the_size_and_weight_of_a_vm_that_is_off_are_those_of_its_settings(
    daemon: Daemon, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "new.qmp").touch()
    (tmp_path / "new.toml").write_text('startup = "256MiB"\nweight = 9000\n')

    async with ticking(daemon):
        answer = (await api.post(PATH, json={})).json()
        await asyncio.sleep(0.1)

    assert (answer["size_bytes"], answer["may_start"]) == (256 * MIB, True)
    assert daemon.control.newest is not None
    [asked] = daemon.control.newest.snapshot.reservations
    assert asked.weight == 9000


async def test_a_vm_of_which_no_size_is_known_is_to_be_asked_for_with_one(
    daemon: Daemon, api: httpx2.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "new.qmp").touch()

    assert_problem(await api.post(PATH, json={}), 400, "--size")
    (tmp_path / "new.qmp").unlink()
    assert_problem(await api.post(PATH, json={}), 404, "there is no VM")
    assert daemon.balancer.starting.reservations() == ()


@pytest.mark.parametrize(
    "asked",
    [
        {"size_bytes": -1},
        {"size_bytes": 2**80},
        {"size_bytes": "1GiB"},
        {"weight": 10_001},
        {"timeout_s": 601},
        {"timeout_s": -1},
        {"size": 1},
    ],
)
@pytest.mark.trust("input", "a request to start a VM that makes no sense")
async def test_what_makes_no_sense_is_refused(
    api: httpx2.AsyncClient, asked: dict[str, object]
) -> None:
    assert_problem(await api.post(PATH, json=asked), 422, "nothing was changed")


@pytest.mark.trust("doubt", "a VM is to start while the daemon does not look at its guests")
async def test_while_nobody_looks_nobody_is_answered(api: httpx2.AsyncClient) -> None:
    asked = {"size_bytes": GIB, "weight": 1, "timeout_s": 0.1}

    assert_problem(await api.post(PATH, json=asked), 503, "could not be looked at")


async def test_a_daemon_that_only_observes_sets_nothing_aside(daemon: Daemon) -> None:
    control = Control(daemon.balancer, daemon.hypervisor, daemon.control._settings, moving=False)
    app = daemon.app()
    app.state.desk = LocalDesk(control)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app), base_url="http://barostat"
    ) as client:
        answer = await client.post(PATH, json={"size_bytes": GIB, "weight": 1})

    assert_problem(answer, 503, "only observes")


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_said(outcome: Outcome) -> None:
    answer = Answer(
        guest="new", size_bytes=GIB, outcome=outcome, available_bytes=100 * MIB, kept_s=None
    )
    if outcome is Outcome.ADMITTED:
        answer = Answer(
            guest="new", size_bytes=GIB, outcome=outcome, available_bytes=GIB, kept_s=60
        )

    said = start_of(answer)

    assert "new" in said.says
    assert said.may_start is (outcome in {Outcome.ADMITTED, Outcome.RUNS})
    assert ("100 MiB" in said.says) is (outcome in {Outcome.NO_ROOM, Outcome.LATE})
