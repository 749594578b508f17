"""Who is at the other end of a connection, as the kernel or TLS says it: nothing that is sent.

A connection's protocol finds that out when it is made and puts it beside every request, where no
header reaches. It also cuts off who connects and then does not ask.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.h11_impl import RequestResponseCycle
from uvicorn.server import ServerState

from barostat.service.connections import ImpatientProtocol

__all__ = ["Certificate", "LocalPeer", "Peer", "PeerProtocol", "RemotePeer", "peer_of"]

REQUEST_DEADLINE_S: Final = 10.0
"""A request's head is a few hundred bytes, and fits into one packet."""

_CREDENTIALS: Final = struct.Struct("3i")  # unix(7): struct ucred
_SO_PEERGROUPS: Final = 59  # since Linux 4.13; Python has no name for it
_GROUP_BYTES: Final = 4
_LARGEST_BYTES: Final = 1024  # what Python can ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPeer:
    """A process on this machine, as it was when it connected. `groups` are all that it is in."""

    uid: int
    groups: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A client's certificate, which TLS has checked.

    Attributes:
        name: its subject's common name.
        units: its subject's organizational units.
    """

    name: str
    units: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemotePeer:
    """Somebody across the network."""

    address: str
    certificate: Certificate | None


Peer = LocalPeer | RemotePeer


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Say who is at the other end."""
    connection: socket.socket = transport.get_extra_info("socket")
    if connection.family == socket.AF_UNIX:
        return _local(connection)
    address = transport.get_extra_info("peername")[0]
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    shown = None if tls is None else tls.getpeercert()
    return RemotePeer(address=address, certificate=_certificate(shown) if shown else None)


def _local(connection: socket.socket) -> LocalPeer:
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(said)
    try:
        more = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _LARGEST_BYTES)
    except OSError:  # an older kernel; or in more groups than Python can ask for
        more = b""
    groups = struct.unpack(f"{len(more) // _GROUP_BYTES}I", more)
    return LocalPeer(uid=uid, groups=frozenset({gid, *groups}))


def _certificate(shown: Mapping[str, Any]) -> Certificate:
    subject: list[tuple[str, str]] = [
        pair for relative_name in shown.get("subject", ()) for pair in relative_name
    ]
    names = [value for key, value in subject if key == "commonName"]
    units = tuple(value for key, value in subject if key == "organizationalUnitName")
    return Certificate(name=names[-1] if names else "", units=units)


class PeerProtocol(ImpatientProtocol):
    """uvicorn's protocol, for one connection.

    Args:
        config, state: the server's.
        on_lost: called when the connection is no more.
    """

    def __init__(
        self, config: uvicorn.Config, state: ServerState, on_lost: Callable[[], None]
    ) -> None:
        super().__init__(config, state, {})
        self._on_lost = on_lost
        self._asking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Find out who it is, and wait for a request."""
        super().connection_made(transport)
        self.app_state = {"peer": peer_of(transport)}
        self._mind_the_time()

    def data_received(self, data: bytes) -> None:
        """Take in some of a request."""
        super().data_received(data)
        self._mind_the_time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end."""
        self._stop_minding()
        super().connection_lost(exc)
        self._on_lost()

    def _mind_the_time(self) -> None:
        """While a request is on its way, it must come to an end; while one is answered, not."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            self._stop_minding()
        elif self._asking is None:
            self._asking = self.loop.call_later(REQUEST_DEADLINE_S, self.transport.abort)

    def _stop_minding(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            self._asking = None
