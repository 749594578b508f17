"""Ask a running daemon over its UNIX socket: with a deadline, and with errors that are ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from barostat.config.settings_file import SettingsPatch
from barostat.errors import ServiceError, UnknownGuestError
from barostat.service.documents import (
    Change,
    Details,
    Explanation,
    HostPause,
    Overview,
    Problem,
    Release,
    Start,
    TokenList,
    TokenMade,
    TokenView,
)
from barostat.service.past import GuestHistory
from barostat.service.problems import MEDIA_TYPE, error_of
from barostat.service.sockets import ANSWER_DEADLINE_S, check_answering
from barostat.service.tokens import checked_name

__all__ = ["RemoteDesk", "open_daemon"]

Model = TypeVar("Model", bound=BaseModel)

SILENCE_S: Final = 15.0
"""The stream gives a sign of life every 5 s; one that is silent for longer is dead."""


@asynccontextmanager
async def open_daemon(
    socket: Path, *, deadline_s: float = ANSWER_DEADLINE_S
) -> AsyncIterator[RemoteDesk]:
    """Reach the daemon at a socket; no answer of it takes longer than the deadline.

    Raises:
        NoDaemonError: no daemon runs there.
        DeniedError: we may not ask it.
        ServiceError: it cannot be reached.
    """
    await asyncio.to_thread(check_answering, socket)
    async with httpx2.AsyncClient(
        transport=httpx2.AsyncHTTPTransport(uds=str(socket)),
        base_url="http://barostat/v1",
        timeout=deadline_s,
        trust_env=False,
    ) as client:
        yield RemoteDesk(client, socket, deadline_s=deadline_s)


class RemoteDesk:
    """Asks the daemon behind a client. Whatever it refuses is raised as it would raise it."""

    def __init__(self, client: httpx2.AsyncClient, socket: Path, *, deadline_s: float) -> None:
        self._client = client
        self._socket = socket
        self._deadline_s = deadline_s

    async def overview(self, *, everyone: bool = False) -> Overview:
        """Say how the host and its VMs stand; with `everyone`, name those that are off too."""
        return await self._ask("GET", f"/guests?everyone={str(everyone).lower()}", Overview)

    async def details(self, guest: str) -> Details:
        """Say all about one VM."""
        return await self._ask("GET", _path(guest), Details)

    async def explanation(self, guest: str, *, at_s: float | None = None) -> Explanation:
        """Say why a VM has the memory it has, or had at a moment in seconds since 1970."""
        when = "" if at_s is None else f"?at_s={at_s}"
        return await self._ask("GET", _path(guest, f"/explanation{when}"), Explanation)

    async def history(
        self, guest: str, *, since_s: float, until_s: float, points: int
    ) -> GuestHistory:
        """Say what a VM had and needed."""
        span = f"/history?since_s={since_s}&until_s={until_s}&points={points}"
        return await self._ask("GET", _path(guest, span), GuestHistory)

    async def change(self, guest: str, patch: SettingsPatch) -> Change:
        """Change a VM's settings."""
        asked = patch.model_dump(exclude_unset=True)
        return await self._ask("PATCH", _path(guest, "/settings"), Change, asked)

    async def pause_host(self, *, paused: bool) -> HostPause:
        """Hold every VM at its size, or let them be balanced again."""
        return await self._ask("POST", "/pause" if paused else "/resume", HostPause)

    async def admit(
        self, guest: str, *, size_bytes: int | None, weight: int | None, timeout_s: float
    ) -> Start:
        """Wait until a VM may start; the daemon is given as much longer as it takes to answer."""
        asked = {"size_bytes": size_bytes, "weight": weight, "timeout_s": timeout_s}
        deadline_s = timeout_s + self._deadline_s
        return await self._ask("POST", _path(guest, "/admission"), Start, asked, deadline_s)

    async def release(self, guest: str) -> Release:
        """Give up what is set aside for a VM."""
        return await self._ask("DELETE", _path(guest, "/admission"), Release)

    async def passes(self) -> AsyncGenerator[str, None]:
        """Give every pass as it happens (`stream.Pass`, as JSON), until the daemon ends.

        Raises:
            ServiceError: it has no stream, or no room for one more listener, or went away.
        """
        try:
            async with self._client.stream("GET", "/stream", timeout=SILENCE_S) as answer:
                if answer.headers.get("content-type", "").startswith(MEDIA_TYPE):
                    raise error_of(Problem.model_validate_json(await answer.aread()))
                event = ""
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        event = value
                    elif name == "data" and event == "pass":
                        yield value
        except httpx2.HTTPError as error:
            raise ServiceError(f"the stream of the daemon at {self._socket} broke off") from error

    async def tokens(self) -> TokenList:
        """Name all tokens."""
        return await self._ask("GET", "/tokens", TokenList)

    async def make_token(self, *, role: str, name: str | None, lasts_s: float | None) -> TokenMade:
        """Make a token."""
        wanted = {"role": role, "name": name, "lasts_s": lasts_s}
        return await self._ask("POST", "/tokens", TokenMade, wanted)

    async def revoke_token(self, name: str) -> TokenView:
        """Take a token away."""
        return await self._ask("DELETE", f"/tokens/{checked_name(name)}", TokenView)

    async def _ask(
        self,
        method: str,
        path: str,
        model: type[Model],
        body: Mapping[str, object] | None = None,
        deadline_s: float | None = None,
    ) -> Model:
        patience_s = deadline_s or self._deadline_s
        try:
            async with asyncio.timeout(patience_s):
                answer = await self._client.request(method, path, json=body, timeout=patience_s)
        except (TimeoutError, httpx2.TimeoutException) as error:
            unknown = "" if method == "GET" else "whether the change was made is not known; "
            raise ServiceError(
                f"the daemon at {self._socket} did not answer within {patience_s:g} s",
                hint=f"{unknown}`systemctl status barostat` and its log show what it does",
            ) from error
        except httpx2.HTTPError as error:
            await asyncio.to_thread(check_answering, self._socket)  # it may have gone meanwhile
            raise ServiceError(
                f"what listens at {self._socket} did not answer as a daemon does: {error}",
                hint="name the daemon's own socket with --socket",
            ) from error
        return self._read(answer, model)

    def _read(self, answer: httpx2.Response, model: type[Model]) -> Model:
        """Make a document of an answer, or raise the error that it is."""
        try:
            if answer.headers.get("content-type", "").startswith(MEDIA_TYPE):
                raise error_of(Problem.model_validate_json(answer.content))
            return model.model_validate_json(answer.content)
        except ValidationError as error:
            raise ServiceError(
                f"the answer of the daemon at {self._socket} cannot be read",
                hint="is it another version of Barostat? restart it after an upgrade",
            ) from error


def _path(guest: str, what: str = "") -> str:
    if "/" in guest or guest.strip(".") == "":  # would lead elsewhere
        raise UnknownGuestError(
            f'there is no VM "{guest}"', hint="`barostat list --all` names those there are"
        )
    return f"/guests/{quote(guest, safe='')}{what}"
