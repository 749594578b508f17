"""The API as a program uses it: what there is, changes, and every kind of error, over a socket."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx2
import pytest

from barostat.errors import BarostatError, DeadlineError, HostError, RefusedError, ServiceError
from barostat.service import bodies, problems
from barostat.units import GIB, MIB

from .conftest import Daemon, make_daemon

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference" / "api.md"


def assert_problem(answer: httpx2.Response, status: int, *words: str) -> None:
    """Check for an error as RFC 9457 has it, with words that help and no traceback."""
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "hint", "faults"}
    assert problem["status"] == status
    assert "Traceback" not in answer.text
    for word in words:
        assert word in answer.text


async def test_guests_and_host_are_told(api: httpx2.AsyncClient) -> None:
    overview = (await api.get("/v1/guests")).json()
    plan = (await api.get("/v1/plan")).json()

    assert [guest["name"] for guest in overview["guests"]] == ["db", "web"]
    assert overview["host"]["capacity_bytes"] == 4 * GIB
    assert overview["powered_off"] is None
    assert (await api.get("/v1/guests?everyone=true")).json()["powered_off"] == []
    assert set(plan) == set(overview)
    assert set((await api.get("/v1/host")).json()) == set(overview["host"])


async def test_one_guest_is_told_with_its_settings(api: httpx2.AsyncClient) -> None:
    details = (await api.get("/v1/guests/web")).json()
    settings = (await api.get("/v1/guests/web/settings")).json()
    explanation = (await api.get("/v1/guests/web/explanation")).json()

    assert details["guest"]["assigned_bytes"] == 512 * MIB
    assert details["settings"] == settings
    assert settings["written"]["minimum_bytes"] == 256 * MIB
    assert settings["written"]["maximum_bytes"] is None
    assert settings["in_force"]["maximum_bytes"] == 2 * GIB
    assert settings["place"].endswith("web.toml")
    assert explanation["sentences"][0].startswith("web has 512 MiB")


async def test_a_change_is_written_and_in_force_at_the_next_tick(
    api: httpx2.AsyncClient, daemon: Daemon
) -> None:
    answer = await api.patch("/v1/guests/web/settings", json={"weight": 7, "buffer_percent": 50})
    await daemon.look()

    assert answer.status_code == 200
    assert answer.json()["before"]["in_force"]["weight"] == 5000
    assert answer.json()["after"]["in_force"]["weight"] == 7
    guest = (await api.get("/v1/guests/web")).json()["guest"]
    assert guest["settings"]["buffer_percent"] == 50


async def test_a_guest_and_the_host_are_paused_and_resumed(
    api: httpx2.AsyncClient, daemon: Daemon
) -> None:
    guest = (await api.post("/v1/guests/web/pause")).json()
    host = (await api.post("/v1/pause")).json()
    await daemon.look()
    held = (await api.get("/v1/guests/web")).json()["guest"]["reasons"][0]["code"]
    paused = (await api.get("/v1/host")).json()["paused"]

    assert guest["after"]["in_force"]["paused"]
    assert host == {"before": False, "after": True}
    assert (held, paused) == ("held", True)
    assert (await api.post("/v1/resume")).json() == {"before": True, "after": False}
    assert not (await api.post("/v1/guests/web/resume")).json()["after"]["in_force"]["paused"]


async def test_every_fault_of_a_change_is_in_the_answer(api: httpx2.AsyncClient) -> None:
    patch = {"minimum_bytes": 512 * MIB, "maximum_bytes": 3 * GIB, "weight": -1}

    answer = await api.patch("/v1/guests/web/settings", json=patch)

    assert_problem(answer, 422, "nothing was changed", "urn:barostat:error:settings")
    assert len(answer.json()["faults"]) == 3
    assert (await api.get("/v1/guests/web/settings")).json()["written"]["weight"] == 5000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"wieght": 1}, "did you mean"),
        ({"size": 1}, "known are startup_bytes"),
        ({"weight": "1"}, "weight: input should be a valid integer"),
        ({"enabled": 1}, "enabled: input should be a valid boolean"),
        ([], "valid dictionary"),
    ],
)
async def test_a_body_that_is_no_patch_is_refused(
    api: httpx2.AsyncClient, body: object, said: str
) -> None:
    assert_problem(await api.patch("/v1/guests/web/settings", json=body), 422, said)


async def test_what_is_no_json_is_refused(api: httpx2.AsyncClient) -> None:
    headers = {"content-type": "application/json"}

    answer = await api.patch("/v1/guests/web/settings", content=b"{", headers=headers)

    assert_problem(answer, 422, "the body is not JSON")


@pytest.mark.parametrize("size", [10**6, 2**16 + 1])
async def test_a_body_too_large_is_refused(api: httpx2.AsyncClient, size: int) -> None:
    answer = await api.patch("/v1/guests/web/settings", content=b"x" * size)

    assert_problem(answer, 413, "larger than 65536 bytes", "nothing was changed")


async def test_a_body_that_never_ends_is_given_up(
    api: httpx2.AsyncClient, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "BODY_DEADLINE_S", 0.1)
    reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
    writer.write(b"PATCH /v1/guests/web/settings HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
    answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"not whole within" in answer


async def test_a_client_that_leaves_amid_its_body_changes_nothing(
    api: httpx2.AsyncClient, daemon: Daemon
) -> None:
    _, writer = await asyncio.open_unix_connection(str(daemon.socket))
    writer.write(
        b"PATCH /v1/guests/web/settings HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{"
    )
    await writer.drain()
    writer.close()

    assert (await api.get("/v1/health")).status_code == 200
    assert (daemon.folder / "web.toml").read_text() == 'minimum = "256MiB"\n'


@pytest.mark.parametrize("path", ["", "/settings", "/explanation"])
async def test_a_name_that_no_vm_has_is_not_found(api: httpx2.AsyncClient, path: str) -> None:
    assert_problem(await api.get(f"/v1/guests/wbe{path}"), 404, 'did you mean \\"web\\"?')


async def test_what_the_api_has_not_is_told_where_to_look(api: httpx2.AsyncClient) -> None:
    assert_problem(await api.get("/v1/gests"), 404, "/v1/openapi.json")
    assert_problem(await api.delete("/v1/host"), 405)
    assert_problem(await api.get("/v1/guests/..%2Fweb/settings"), 404)
    assert_problem(await api.get("/docs"), 404)


async def test_an_edit_by_somebody_else_is_a_conflict(
    api: httpx2.AsyncClient, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Editing(type(daemon.control._settings)):  # type: ignore[misc]
        async def read(self, guest: str) -> object:
            found = await super().read(guest)
            (daemon.folder / "web.toml").write_text("weight = 77\n")
            return found

    monkeypatch.setattr(daemon.control, "_settings", Editing(daemon.folder))

    answer = await api.patch("/v1/guests/web/settings", json={"weight": 1})

    assert_problem(answer, 409, "meanwhile")
    assert (daemon.folder / "web.toml").read_text() == "weight = 77\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DeadlineError("libvirt did not answer", hint="is it stopped?"), 504),
        (RefusedError("libvirt refused"), 502),
        (HostError("no /proc"), 503),
        (ZeroDivisionError("ours"), 500),
    ],
)
async def test_what_goes_wrong_below_has_a_status_of_its_own(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    class Failing(type(daemon.control._settings)):  # type: ignore[misc]
        async def read(self, guest: str) -> object:
            raise error

    monkeypatch.setattr(daemon.control, "_settings", Failing(daemon.folder))
    async with daemon.serving(), daemon.client() as client:
        answer = await client.get("/v1/guests/web/settings")

    assert_problem(answer, status)
    assert "division" not in answer.text


async def test_health_is_bad_before_the_first_look_and_when_looks_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = make_daemon(tmp_path)
    async with daemon.serving(), daemon.client() as client:
        before = await client.get("/v1/health")
        await daemon.look()
        after = await client.get("/v1/health")
        monkeypatch.setattr(daemon.control, "_clock", lambda: 2.0**40)
        late = await client.get("/v1/health")

    assert (before.status_code, before.json()["healthy"]) == (503, False)
    assert (after.status_code, after.json()["healthy"]) == (200, True)
    assert late.status_code == 503
    assert "ago" in late.json()["says"]


async def test_the_reference_lists_every_route(daemon: Daemon) -> None:
    described = daemon.app().openapi()
    routes = {
        (method.upper(), path, operation["description"].rstrip())
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    }

    rows = re.findall(r"^\| `(\w+) (\S+)` \| (.*?) \|", REFERENCE.read_text(), re.MULTILINE)

    assert described["openapi"].startswith("3.1")
    assert set(rows) == routes


async def test_the_reference_lists_every_kind_of_error() -> None:
    page = REFERENCE.read_text()

    for _, name, status in problems._KINDS:
        assert re.search(rf"^\| [\d, ]*\b{status}\b.*`{name}`", page, re.MULTILINE), name


@pytest.mark.parametrize(("kind", "name", "status"), problems._KINDS)
def test_an_error_comes_back_from_its_problem(
    kind: type[BarostatError], name: str, status: int
) -> None:
    problem = problems.problem_of(kind("it broke", hint="mend it"))
    error = problems.error_of(problem)

    assert (problem.type, problem.status) == (f"urn:barostat:error:{name}", status)
    assert type(error) is kind
    assert (error.message, error.hint) == ("it broke", "mend it")


def test_a_problem_of_another_version_is_an_error_of_the_service() -> None:
    problem = problems.status_problem(418, "teapot")

    assert type(problems.error_of(problem)) is ServiceError
