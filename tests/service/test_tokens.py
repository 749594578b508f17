"""Tokens and sessions: made once, kept as hashes, gone when they are revoked or over."""

from __future__ import annotations

import json
import os
import stat
import threading
from pathlib import Path

import pytest

from barostat.errors import InputError, ServiceError
from barostat.service import patience, sessions
from barostat.service.patience import Patience
from barostat.service.sessions import Sessions
from barostat.service.tokens import MOST_TOKENS, PREFIX, TokenStore, digest_of


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> TokenStore:
    return TokenStore(tmp_path / "lib" / "tokens.json", clock=clock)


def test_a_token_is_found_by_its_hash_and_kept_as_nothing_else(store: TokenStore) -> None:
    secret, token = store.create(role="operator", name="ops", lasts_s=None)

    assert secret.startswith(PREFIX)
    assert len(secret) == len(PREFIX) + 43
    assert store.find(digest_of(secret)) == token
    assert store.find(digest_of(secret + "x")) is None
    assert secret not in store.path.read_text()
    assert (token.name, token.role, token.last_four) == ("ops", "operator", secret[-4:])


def test_the_file_is_its_owners_alone(store: TokenStore) -> None:
    before = os.umask(0)
    try:
        for _ in range(2):
            store.create(role="viewer", name=None, lasts_s=None)
    finally:
        os.umask(before)

    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert len(store.all()) == 2


def test_a_token_is_good_until_it_expires(store: TokenStore, clock: Clock) -> None:
    secret, token = store.create(role="viewer", name=None, lasts_s=60)
    clock.now_s += 59.9
    before = store.find(digest_of(secret))
    clock.now_s += 0.2

    assert before == token
    assert store.find(digest_of(secret)) is None
    assert store.all() == (token,)


def test_what_another_process_changes_is_seen_at_once(store: TokenStore, clock: Clock) -> None:
    other = TokenStore(store.path, clock=clock)
    secret, token = other.create(role="viewer", name="tv", lasts_s=None)
    found = store.find(digest_of(secret))
    other.revoke("tv")

    assert found == token
    assert store.find(digest_of(secret)) is None


def test_many_who_make_tokens_at_once_lose_none(store: TokenStore) -> None:
    def make() -> None:
        for _ in range(5):
            TokenStore(store.path).create(role="viewer", name=None, lasts_s=None)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(store.all()) == 20


@pytest.mark.parametrize("name", ["", " ", "a b", "a/b", "-x", "é", "x" * 65, "a\n", "../x"])
def test_a_name_that_cannot_be_typed_is_refused(store: TokenStore, name: str) -> None:
    with pytest.raises(InputError) as caught:
        store.create(role="viewer", name=name, lasts_s=None)

    assert "nothing was changed" in caught.value.hint
    assert store.all() == ()


@pytest.mark.parametrize("lasts_s", [0, -1.0, float("nan"), float("inf"), 1e12])
def test_a_time_that_makes_no_sense_is_refused(store: TokenStore, lasts_s: float) -> None:
    with pytest.raises(InputError, match="cannot be good for"):
        store.create(role="viewer", name=None, lasts_s=lasts_s)


def test_a_name_is_given_once(store: TokenStore) -> None:
    store.create(role="viewer", name="tv", lasts_s=None)

    with pytest.raises(InputError, match="already"):
        store.create(role="admin", name="tv", lasts_s=None)
    with pytest.raises(InputError, match="no token 'vt'"):
        store.revoke("vt")


def test_there_are_so_many_and_no_more(store: TokenStore) -> None:
    _, token = store.create(role="viewer", name="first", lasts_s=None)
    raw = token.model_dump()
    many = [raw | {"name": f"t{number}"} for number in range(MOST_TOKENS)]
    store.path.write_text(json.dumps({"version": 1, "tokens": many}))

    with pytest.raises(InputError, match="no more are kept"):
        store.create(role="viewer", name=None, lasts_s=None)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"version": 2}', '{"tokens": [{"name": "x"}]}', '{"admin": true}']
)
def test_a_damaged_file_opens_nothing_and_is_left_alone(store: TokenStore, text: str) -> None:
    secret, _ = store.create(role="admin", name=None, lasts_s=None)
    store.path.write_text(text)

    with pytest.raises(ServiceError, match="cannot be read"):
        store.find(digest_of(secret))
    with pytest.raises(ServiceError):
        store.create(role="admin", name=None, lasts_s=None)
    assert store.path.read_text() == text


def test_a_folder_that_cannot_be_is_an_error_with_a_hint(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ServiceError) as caught:
        TokenStore(tmp_path / "file" / "tokens.json").create(role="viewer", name=None, lasts_s=None)

    assert "sudo" in caught.value.hint


def test_a_session_stands_for_its_token_until_it_ends(clock: Clock) -> None:
    found = Sessions(clock=clock)
    word = found.open("digest")
    clock.now_s += sessions.LASTS_S - 1
    before = found.find(word)
    clock.now_s += 2

    assert before == "digest"
    assert found.find(word) is None
    assert found.find("other") is None


def test_a_closed_session_is_over(clock: Clock) -> None:
    found = Sessions(clock=clock)
    word = found.open("digest")
    found.close(word)
    found.close(word)

    assert found.find(word) is None


def test_sessions_are_bounded_and_the_oldest_ends_first(clock: Clock) -> None:
    found = Sessions(clock=clock)
    words = [found.open("digest") for _ in range(sessions.MOST_SESSIONS + 1)]

    assert found.find(words[0]) is None
    assert all(found.find(word) for word in words[1:])


def test_patience_ends_and_comes_back(clock: Clock) -> None:
    found = Patience(clock=clock)
    for _ in range(patience.MOST_WRONG):
        assert found.wait_s("192.0.2.1") == 0
        found.wrong("192.0.2.1")
        clock.now_s += 1

    assert found.wait_s("192.0.2.1") == 50
    assert found.wait_s("::ffff:192.0.2.1") == 50
    assert found.wait_s("192.0.2.2") == 0
    clock.now_s += 50
    assert found.wait_s("192.0.2.1") == 0


def test_all_of_an_ipv6_network_is_one(clock: Clock) -> None:
    found = Patience(clock=clock)
    for number in range(patience.MOST_WRONG):
        found.wrong(f"2001:db8::{number:x}")

    assert found.wait_s("2001:db8::ffff") > 0
    assert found.wait_s("2001:db8:1::1") == 0
    assert found.wait_s("fe80::1%eth0") == 0


def test_only_so_many_addresses_are_remembered(clock: Clock) -> None:
    found = Patience(clock=clock)
    for number in range(patience.MOST_ADDRESSES + 10):
        found.wrong(f"10.0.{number // 256}.{number % 256}")

    assert len(found._wrong) == patience.MOST_ADDRESSES
