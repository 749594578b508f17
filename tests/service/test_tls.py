"""The API over TCP: TLS, a browser's sessions, certificates that change, connections that rot."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from barostat.errors import InputError, ServiceError, first_fault
from barostat.service import listening, peers, self_signed
from barostat.service.self_signed import fingerprint, make_self_signed
from barostat.service.server import Tcp
from barostat.service.sessions import COOKIE
from barostat.service.sockets import bind_tcp
from barostat.service.tls import TlsFiles

from .conftest import Daemon
from .over_tcp import OverTcp, make_authority, serving_over_tcp
from .test_api import assert_problem

FROM_OUR_PAGE = {"sec-fetch-site": "same-origin"}


@pytest_asyncio.fixture
async def tcp(daemon: Daemon) -> AsyncIterator[OverTcp]:
    async with serving_over_tcp(daemon) as over:
        yield over


async def log_in(tcp: OverTcp, client: httpx2.AsyncClient) -> httpx2.Response:
    return await client.post(
        "/v1/session", json={"token": tcp.token("operator")}, headers=FROM_OUR_PAGE
    )


async def test_a_session_is_opened_with_a_token_and_closed(tcp: OverTcp) -> None:
    async with tcp.client() as client:
        opened = await log_in(tcp, client)
        you = (await client.get("/v1/session")).json()
        change = await client.post("/v1/guests/web/pause", headers=FROM_OUR_PAGE)
        word = client.cookies[COOKIE]
        closed = await client.delete("/v1/session", headers=FROM_OUR_PAGE)
        late = await client.get("/v1/session", headers={"cookie": f"{COOKIE}={word}"})

    assert opened.json()["role"] == "operator"
    cookie = opened.headers["set-cookie"]
    for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/", "Max-Age=43200"):
        assert word in cookie
    assert "Domain" not in cookie
    assert (you["role"], you["way"]) == ("operator", "session")
    assert change.status_code == 200
    assert tcp.daemon.trail.entries[0].who.endswith("in a browser")
    assert closed.status_code == 204
    assert_problem(late, 401, "the session has ended")


async def test_a_session_opens_no_more_than_its_token(tcp: OverTcp) -> None:
    async with tcp.client() as client:
        await log_in(tcp, client)
        tokens = await client.get("/v1/tokens")
        before = await client.get("/v1/health")
        (token,) = tcp.daemon.doorkeeper.tokens.all()
        tcp.daemon.doorkeeper.tokens.revoke(token.name)
        after = await client.get("/v1/health")

    assert (tokens.status_code, before.status_code, after.status_code) == (403, 200, 401)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1"},
        {"sec-fetch-site": "cross-site", "origin": "https://127.0.0.1"},
    ],
)
async def test_a_page_of_another_site_changes_nothing_with_a_users_session(
    tcp: OverTcp, headers: dict[str, str]
) -> None:
    async with tcp.client() as client:
        await log_in(tcp, client)
        answer = await client.post("/v1/pause", headers=headers)

    assert_problem(answer, 403, "another site", "nothing was changed")
    assert not tcp.daemon.control.paused


async def test_an_older_browser_shows_by_its_origin_that_the_page_is_ours(tcp: OverTcp) -> None:
    async with tcp.client() as client:
        await log_in(tcp, client)
        assert (await client.post("/v1/pause", headers={"origin": tcp.url})).status_code == 200


async def test_a_page_of_another_site_opens_no_session(tcp: OverTcp) -> None:
    async with tcp.client() as client:
        body = {"token": tcp.token("viewer")}
        answer = await client.post(
            "/v1/session", json=body, headers={"sec-fetch-site": "cross-site"}
        )

    assert_problem(answer, 403)
    assert "set-cookie" not in answer.headers


async def test_a_wrong_token_opens_no_session(tcp: OverTcp) -> None:
    async with tcp.client() as client:
        answers = [
            await client.post("/v1/session", json={"token": "bst_x"}, headers=FROM_OUR_PAGE)
            for _ in range(11)
        ]

    assert_problem(answers[0], 401)
    assert_problem(answers[-1], 429)


async def test_the_page_is_there_before_anybody_is_known(tcp: OverTcp) -> None:
    async with tcp.client() as client:
        answer = await client.get("/web/api.js")

    assert answer.status_code == 200


async def test_plain_http_is_not_answered(tcp: OverTcp) -> None:
    async with httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx2.HTTPError):
            await client.get(tcp.url.replace("https", "http"))


async def test_old_tls_is_not_spoken(tcp: OverTcp) -> None:
    context = tcp.authority.client()
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with httpx2.AsyncClient(verify=context, trust_env=False) as client:
        with pytest.raises(httpx2.HTTPError):
            await client.get(tcp.url)


async def test_new_certificates_are_shown_once_they_are_read(tcp: OverTcp, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    new = make_authority(tmp_path / "new")
    for old, now in (
        (tcp.authority.files.certificate, new.files.certificate),
        (tcp.authority.files.key, new.files.key),
    ):
        old.write_bytes(now.read_bytes())
    async with tcp.client() as before:
        await tcp.server.reload_certificates()
        with pytest.raises(httpx2.HTTPError):
            await before.get("/v1/health")
    tcp.authority = new
    async with tcp.client("viewer") as client:
        assert (await client.get("/v1/health")).status_code == 200


async def test_certificates_that_cannot_be_used_leave_the_old_ones(tcp: OverTcp) -> None:
    tcp.authority.files.key.write_text("nonsense")

    with pytest.raises(InputError, match="no certificate and its key"):
        await tcp.server.reload_certificates()
    async with tcp.client("viewer") as client:
        assert (await client.get("/v1/health")).status_code == 200


@pytest.mark.parametrize("missing", ["certificate", "key", "client_ca"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    files = make_authority(tmp_path).files
    (getattr(files, missing)).unlink()

    with pytest.raises(InputError, match=f"{getattr(files, missing)} cannot be read"):
        files.context()


def test_files_that_are_something_else_are_refused(tmp_path: Path) -> None:
    files = make_authority(tmp_path).files
    assert files.client_ca is not None
    files.client_ca.write_text("nonsense")

    with pytest.raises(InputError, match="holds no certificates"):
        files.context()
    with pytest.raises(InputError, match="no certificate and its key"):
        TlsFiles(certificate=files.client_ca, key=files.key).context()


async def test_a_key_with_a_passphrase_asks_nobody(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415

    files = make_authority(tmp_path).files
    key = form.load_pem_private_key(files.key.read_bytes(), None)
    closed = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"word")
    )
    files.key.write_bytes(closed)

    with pytest.raises(InputError) as caught:
        files.context()

    assert "openssl pkey" in caught.value.hint


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(daemon: Daemon) -> None:
    files = make_authority(daemon.folder).files
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ExceptionGroup) as caught:
            async with daemon.serving(tcp=Tcp(address="127.0.0.1", port=port, files=files)):
                pass

    error = first_fault(caught.value)
    assert isinstance(error, ServiceError)
    assert f"port {port}" in error.message
    assert not daemon.socket.exists()


def test_an_address_of_another_machine_is_an_error() -> None:
    with pytest.raises(ServiceError, match="nobody can listen on"):
        bind_tcp("192.0.2.1", 0)


async def test_a_certificate_for_a_demonstration_is_one_that_tls_takes(daemon: Daemon) -> None:
    files = await asyncio.to_thread(make_self_signed, daemon.folder)
    trusting = ssl.create_default_context(cafile=files.certificate)
    tcp = Tcp(address="127.0.0.1", port=0, files=files)
    async with (
        daemon.serving(tcp=tcp) as server,
        httpx2.AsyncClient(verify=trusting, trust_env=False) as client,
    ):
        answer = await client.get(f"https://127.0.0.1:{server.port}/v1/health")

    assert answer.status_code == 401
    assert files.key.stat().st_mode & 0o077 == 0
    assert len(fingerprint(files.certificate).split(":")) == 32


def test_without_openssl_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServiceError) as caught:
        make_self_signed(tmp_path)
    assert "apt-get install openssl" in caught.value.hint


def test_openssl_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="openssl made no certificate"):
        self_signed.make_self_signed(tmp_path / "absent")


async def read_to_the_end(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.parametrize(
    "piece", [b"", b"GET", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"GET / HTTP"]
)
async def test_who_connects_and_does_not_ask_is_cut_off(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, piece: bytes
) -> None:
    monkeypatch.setattr(peers, "REQUEST_DEADLINE_S", 0.1)
    async with daemon.serving():
        reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
        writer.write(piece)
        assert await read_to_the_end(reader) == b""
        writer.close()


async def test_who_drips_a_second_request_is_cut_off(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "REQUEST_DEADLINE_S", 0.2)
    async with daemon.serving():
        reader, writer = await asyncio.open_unix_connection(str(daemon.socket))
        writer.write(b"GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
        first = await reader.readuntil(b"}")
        writer.write(b"GET /v1")
        said = await read_to_the_end(reader)
        writer.close()

    assert first.startswith(b"HTTP/1.1 200 OK")
    assert said == b""


async def test_a_listener_of_the_stream_is_not_cut_off(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "REQUEST_DEADLINE_S", 0.05)
    async with daemon.serving():
        reader, writer = await asyncio.open_unix_connection(str(daemon.socket), limit=2**20)
        writer.write(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            for _ in range(3):
                await daemon.look()
                await reader.readuntil(b"event: pass")
                await asyncio.sleep(0.05)  # real connections have real deadlines
        writer.close()


async def test_who_never_shakes_hands_is_cut_off(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "HANDSHAKE_DEADLINE_S", 0.1)
    async with serving_over_tcp(daemon) as tcp:
        assert tcp.server.port is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", tcp.server.port)
        assert await read_to_the_end(reader) == b""
        writer.close()


async def test_who_comes_when_all_places_are_taken_waits_for_one(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 2)
    async with serving_over_tcp(daemon) as tcp:
        assert tcp.server.port is not None
        idle = [await asyncio.open_connection("127.0.0.1", tcp.server.port) for _ in range(2)]
        async with tcp.client("viewer") as client, daemon.client() as local:
            asking = asyncio.create_task(client.get("/v1/health"))
            on_the_socket = await local.get("/v1/health")
            waited = not asking.done()
            for _, writer in idle:
                writer.close()
            answer = await asking

    assert on_the_socket.status_code == 200
    assert waited
    assert answer.status_code == 200


async def test_a_client_that_says_no_more_after_its_question_harms_nobody(daemon: Daemon) -> None:
    async with daemon.serving(), daemon.client() as client:
        for _ in range(20):
            _, writer = await asyncio.open_unix_connection(str(daemon.socket))
            writer.write(b"GET /v1/guests HTTP/1.1\r\nHost: x\r\n\r\n")
            writer.write_eof()
            writer.close()
        assert (await client.get("/v1/health")).status_code == 200
