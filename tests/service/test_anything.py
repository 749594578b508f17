"""Whatever the API's description allows, and what it does not, asked by everybody: nothing breaks.

No answer is a fault of ours, nothing is changed without the right to, and the balancer is not held
up meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, Response

from barostat.service.access import NEEDED, Role
from barostat.service.problems import MEDIA_TYPE

from .conftest import Daemon, make_daemon
from .over_tcp import ROLES, serving_over_tcp

Case = schemathesis.Case[Any]

DEADLINE_S = 30.0
LONGEST_S = 110.0
TICK_S = 0.1
HELD_UP_S = 1.0
"""A tick late by this much is one that was not done. The questions are thought up in the same
process, which holds it up far more than answering them does."""

FEW = settings(
    max_examples=4,
    deadline=None,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)
"""For each route, role and mode: some 500 requests in all. Every run asks others."""

LEFT_OUT = {"/v1/stream", "/v1/doctor", "/v1/guests/{name}/admission"}
"""The stream has no end, doctor starts QEMU, and who asks for a start waits for its memory, for
minutes if they want: they have tests of their own."""


@dataclass
class Played:
    """An API in a thread of its own, that somebody of every role may ask."""

    folder: Path
    up: threading.Event = field(default_factory=threading.Event)
    late_s: list[float] = field(default_factory=list)

    async def serve(self) -> None:
        """Serve, and look once a tick, until stopped."""
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        daemon = make_daemon(self.folder)
        await daemon.look()
        async with serving_over_tcp(daemon, deadline_s=LONGEST_S) as self.over:
            self.tokens: dict[str, str] = {role: self.over.token(role) for role in ROLES}
            self.up.set()
            while not self._stop.is_set():
                due_s = time.monotonic() + TICK_S
                await asyncio.sleep(TICK_S)
                await daemon.look()
                self.late_s.append(time.monotonic() - due_s)

    def stop(self) -> None:
        """Have it end."""
        self._loop.call_soon_threadsafe(self._stop.set)

    @property
    def daemon(self) -> Daemon:
        """What is asked."""
        return self.over.daemon

    @contextlib.contextmanager
    def somebody(self, role: str | None) -> Iterator[Callable[[Case], Response]]:
        """Ask as somebody."""
        headers = {} if role is None else {"Authorization": f"Bearer {self.tokens[role]}"}
        with requests.Session() as session:
            session.trust_env = False
            yield lambda case: case.call(
                base_url=self.over.url,
                headers=headers,
                session=session,
                timeout=DEADLINE_S,
                verify=str(self.over.authority.files.client_ca),
            )

    def state(self) -> tuple[object, ...]:
        """Say all that a request could have changed."""
        files = {path.name: path.read_text() for path in self.folder.glob("*.toml")}
        return files, self.daemon.control.paused, self.daemon.doorkeeper.tokens.all()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    made = Played(tmp_path_factory.mktemp("played"))
    thread = threading.Thread(target=lambda: asyncio.run(made.serve()))
    thread.start()
    try:
        assert made.up.wait(DEADLINE_S)
        yield made
    finally:
        made.stop()
        thread.join()


def ask_everything(
    played: Played, role: str | None, mode: GenerationMode
) -> list[tuple[Case, Response]]:
    """Ask every route whatever comes to mind; gives the answers with their questions."""
    answers: list[tuple[Case, Response]] = []
    description = played.daemon.app().openapi()
    described = schemathesis.openapi.from_dict(description)
    with played.somebody(role) as asking:
        for method, path in sorted(NEEDED):
            if path in LEFT_OUT or path not in description["paths"]:
                continue
            operation = described[path][method]

            @FEW
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Case) -> None:
                answers.append((case, asking(case)))

            with contextlib.suppress(Unsatisfiable):  # nothing given, so nothing can be wrong
                ask()
    return answers


@pytest.mark.trust(
    "input", "the API is asked anything that its description allows, and what it does not"
)
@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("role", [None, *ROLES])
def test_whatever_is_asked_nothing_breaks_and_nobody_does_what_he_may_not(
    played: Played,
    role: str | None,
    mode: GenerationMode,
    record_property: Callable[[str, object], None],
) -> None:
    before = played.state()
    played.late_s.clear()

    answers = ask_everything(played, role, mode)

    record_property("cases", len(answers))
    assert len(answers) > len(NEEDED)
    for case, answer in answers:
        assert answer.status_code < 500, (case.as_curl_command(), answer.text)
        if answer.status_code >= 400 and case.method.upper() != "HEAD":
            assert answer.headers["content-type"][0] in {MEDIA_TYPE, "text/plain; charset=utf-8"}
            assert "Traceback" not in answer.text
        needed = NEEDED[case.method.upper(), case.path]
        if not Role(role or "anybody").reaches(needed):
            assert answer.status_code in {400, 401, 403, 429}, case.as_curl_command()
    assert max(played.late_s) < HELD_UP_S
    files, paused, tokens = played.state()
    if role in {None, "viewer"}:
        assert (files, paused, tokens) == before
    if role == "operator":
        assert tokens == before[2]
