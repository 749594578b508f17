"""Who may do what: every route, every role, every way to show who one is."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from barostat.service import access
from barostat.service.access import NEEDED, Role, needed_role
from barostat.service.peers import LocalPeer, peer_of

from .conftest import Daemon
from .over_tcp import ROLES, OverTcp, serving_over_tcp
from .test_api import assert_problem

NOBODY_UID = 65534
PYTHON = "/usr/bin/python3"
PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "access.md"


@pytest_asyncio.fixture
async def tcp(daemon: Daemon) -> AsyncIterator[OverTcp]:
    async with serving_over_tcp(daemon) as over:
        yield over


def routes_of(routes: Iterable[Any]) -> set[tuple[str, str]]:
    """Name every route of an application, also those that it does not describe."""
    found = set()
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            found |= routes_of(inner.routes)
        else:
            found |= {(method, route.path) for method in route.methods - {"HEAD"}}
    return found


def test_every_route_is_in_the_table_and_nothing_else_is(daemon: Daemon) -> None:
    assert routes_of(daemon.app().routes) == set(NEEDED)


@pytest.mark.parametrize(("route", "role"), NEEDED.items())
def test_a_route_takes_what_its_line_says(route: tuple[str, str], role: Role) -> None:
    method, path = route

    assert needed_role(method, path.replace("{name}", "web")) is role


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/guests/a/b"),
        ("GET", "/v1/guests/"),
        ("PATCH", "/v1/guests/web"),
        ("POST", "/v1/guests/web/settings"),
        ("GET", "/v1/health/"),
        ("GET", "/v1/health\n"),
        ("GET", "//v1/health"),
        ("GET", "/V1/health"),
        ("TRACE", "/v1/health"),
        ("OPTIONS", "/v1/session"),
    ],
)
def test_what_is_not_in_the_table_is_for_admins(method: str, path: str) -> None:
    assert needed_role(method, path) is Role.ADMIN


def test_the_page_says_what_the_table_says() -> None:
    rows = re.findall(r"^\| `(\w+) (\S+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)

    assert {(method, path): Role(role) for method, path, role in rows} == dict(NEEDED)


@pytest.mark.parametrize("role", [None, *ROLES])
async def test_every_route_is_open_to_its_role_and_closed_below(tcp: OverTcp, role: Any) -> None:
    mine = Role(role or "anybody")
    async with tcp.client(role) as client:
        for (method, path), needed in NEEDED.items():
            if path == "/v1/stream" and mine.reaches(needed):
                continue  # has no end
            answer = await client.request(method, path.replace("{name}", "no-such"))

            closed = answer.status_code in {401, 403}
            wanted = mine.reaches(needed) or (method, path) == ("POST", "/v1/session")
            assert closed is not wanted, (method, path, answer.text)
            if closed:
                assert answer.status_code == (401 if role is None else 403)
                assert_problem(answer, answer.status_code, "hint")


async def test_without_a_token_nothing_is_said_but_how_to_get_one(tcp: OverTcp) -> None:
    async with tcp.client() as client:
        answer = await client.get("/v1/guests")

    assert_problem(answer, 401, "barostat token create")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "web" not in answer.text


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer bst_wrong",
        "Bearer",
        "Basic dXNlcjpwYXNz",
        "Bearer " + "x" * 9000,
        "Bearer \xff\xfe",
    ],
)
async def test_a_token_that_is_not_good_is_refused(tcp: OverTcp, shown: str) -> None:
    async with tcp.client(unit="admin") as client:
        headers = {b"authorization": shown.encode("latin-1")}
        answer = await client.get("/v1/guests", headers=headers)

    assert_problem(answer, 401)


async def test_who_goes_on_with_wrong_tokens_is_told_to_wait_and_others_are_not(
    tcp: OverTcp,
) -> None:
    async with tcp.client() as client:
        wrong = [
            await client.get("/v1/health", headers={"authorization": "Bearer x"}) for _ in range(12)
        ]
        right = {"authorization": f"Bearer {tcp.token('viewer')}"}
        late = await client.get("/v1/health", headers=right)

    assert [answer.status_code for answer in wrong] == [401] * 10 + [429] * 2
    assert 0 < int(wrong[-1].headers["retry-after"]) <= 60
    assert late.status_code == 200


async def test_a_revoked_token_opens_nothing_any_more(tcp: OverTcp) -> None:
    secret = tcp.token("viewer", name="grafana")
    headers = {"authorization": f"Bearer {secret}"}
    async with tcp.client() as client:
        before = await client.get("/v1/health", headers=headers)
        tcp.daemon.doorkeeper.tokens.revoke("grafana")
        after = await client.get("/v1/health", headers=headers)

    assert (before.status_code, after.status_code) == (200, 401)


@pytest.mark.parametrize("unit", ROLES)
async def test_a_certificate_opens_what_its_unit_says(tcp: OverTcp, unit: str) -> None:
    async with tcp.client(unit=unit) as client:
        you = (await client.get("/v1/session")).json()
        change = await client.post("/v1/guests/web/pause")

    assert you == {"name": "prometheus", "role": unit, "way": "certificate"}
    assert change.status_code == (403 if unit == "viewer" else 200)


@pytest.mark.parametrize("unit", ["Viewer", "root", ""])
async def test_a_certificate_without_a_role_opens_nothing(tcp: OverTcp, unit: str) -> None:
    async with tcp.client(unit=unit) as client:
        assert_problem(await client.get("/v1/health"), 401, "OU=viewer")


async def test_a_certificate_of_a_foreign_authority_is_no_connection(
    tcp: OverTcp, tmp_path: Path
) -> None:
    import trustme  # noqa: PLC0415 - for this alone

    context = tcp.authority.client()
    foreign = trustme.CA().issue_cert(common_name="x", organization_unit_name="admin")
    foreign.configure_cert(context)
    async with httpx2.AsyncClient(verify=context, base_url=tcp.url, trust_env=False) as client:
        with pytest.raises(httpx2.HTTPError):
            await client.get("/v1/health")


@pytest.mark.parametrize(
    "header",
    [
        {"x-forwarded-for": "127.0.0.1"},
        {"x-remote-user": "root"},
        {"forwarded": "for=unix:"},
        {"host": "barostat"},
        {"cookie": "__Host-barostat=x"},
        {"cookie": "peer=uid 0; caller=admin"},
    ],
)
async def test_no_header_makes_somebody_of_nobody(tcp: OverTcp, header: dict[str, str]) -> None:
    async with tcp.client() as client:
        assert_problem(await client.get("/v1/guests", headers=header), 401)


async def test_on_the_socket_root_and_the_daemons_own_user_are_admins(
    api: httpx2.AsyncClient,
) -> None:
    you = (await api.get("/v1/session")).json()

    assert you == {"name": f"uid {os.geteuid()}", "role": "admin", "way": "socket"}
    assert (await api.get("/v1/tokens")).json() == {"tokens": []}
    assert_problem(await api.post("/v1/session", json={"token": "x"}), 400, "for browsers")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
@pytest.mark.skipif(not Path(PYTHON).exists(), reason="no Python that others may run")
@pytest.mark.parametrize(("groups", "role"), [([4242], "operator"), ([], None)])
async def test_on_the_socket_members_of_the_group_are_operators_and_others_nobody(
    daemon: Daemon, groups: list[int], role: str | None
) -> None:
    async with daemon.serving():
        daemon.doorkeeper.group_id = 4242
        for place in (daemon.socket, *daemon.socket.parents):
            if place.stat().st_uid == 0 and place != Path("/"):
                place.chmod(0o777 if place != Path("/tmp") else 0o1777)
        said = await asyncio.to_thread(ask_as_nobody, daemon.socket, groups)

    if role is None:
        assert "HTTP/1.1 403" in said
        assert "may not ask the daemon" in said
    else:
        assert '"role":"operator"' in said
        assert f'"name":"uid {NOBODY_UID}"' in said


def ask_as_nobody(path: Path, groups: list[int]) -> str:
    """Ask who one is, as a process of another user."""
    program = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
        "s.sendall(b'GET /v1/session HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n');"
        "print(s.makefile().read())"
    )
    done = subprocess.run(
        [PYTHON, "-c", program, path],
        user=NOBODY_UID,
        group=NOBODY_UID,
        extra_groups=groups,
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout


async def test_a_peer_is_what_the_kernel_says(tmp_path: Path) -> None:
    found: asyncio.Queue[object] = asyncio.Queue()

    async def meet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.put_nowait(peer_of(writer.transport))
        writer.close()

    async with await asyncio.start_unix_server(meet, tmp_path / "s"):
        with socket.socket(socket.AF_UNIX) as caller:
            caller.setblocking(False)
            await asyncio.get_running_loop().sock_connect(caller, str(tmp_path / "s"))
            peer = await asyncio.wait_for(found.get(), 5)

    assert isinstance(peer, LocalPeer)
    assert peer.uid == os.geteuid()
    assert peer.groups == {os.getegid(), *os.getgroups()}


async def test_every_change_is_audited_with_who_from_where_and_what_was(tcp: OverTcp) -> None:
    async with tcp.client("operator") as client, tcp.daemon.client() as local:
        await client.patch("/v1/guests/web/settings", json={"weight": 7})
        await client.patch("/v1/guests/web/settings", json={"weight": 7})  # is so already
        await local.post("/v1/pause")
        made = (await local.post("/v1/tokens", json={"role": "viewer", "name": "tv"})).json()
        await local.delete("/v1/tokens/tv")
        await client.post("/v1/tokens", json={"role": "admin"})
        await client.get("/v1/tokens")

    settings, pause, created, revoked, refused = tcp.daemon.trail.entries
    assert (settings.what, settings.guest, settings.origin) == ("settings", "web", "127.0.0.1")
    assert settings.who.startswith("token operator-")
    assert settings.before is not None
    assert settings.after is not None
    assert (settings.before["weight"], settings.after["weight"]) == (5000, 7)
    assert (pause.what, pause.before, pause.after) == ("pause", {"paused": False}, {"paused": True})
    assert pause.origin == "socket"
    assert f"(uid {os.geteuid()})" in pause.who
    assert (created.what, revoked.what) == ("token made", "token revoked")
    assert made["token"] not in str(tcp.daemon.trail.entries)
    assert (refused.what, refused.after) == ("refused", {"request": "POST /v1/tokens"})


async def test_a_key_that_a_token_has_not_is_named_with_those_it_has(
    api: httpx2.AsyncClient,
) -> None:
    answer = await api.post("/v1/tokens", json={"role": "viewer", "nmae": "tv"})

    assert_problem(answer, 422, 'did you mean \\"name\\"?')
    other = await api.post("/v1/tokens", json={"role": "viewer", "weight": 1})
    assert_problem(other, 422, "known are role, name, lasts_s")


def test_roles_are_in_order() -> None:
    assert [role.value for role in access.GRANTED] == list(ROLES)
    for lower, higher in zip(Role, list(Role)[1:], strict=False):
        assert higher.reaches(lower)
        assert not lower.reaches(higher)
