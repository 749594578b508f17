"""An API over TCP as the network sees it: a test's own authority, tokens, and clients."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import trustme

from barostat.service.server import ApiServer, Tcp
from barostat.service.tls import TlsFiles
from barostat.service.tokens import Granted

from .conftest import Daemon

ROLES: tuple[Granted, ...] = ("viewer", "operator", "admin")


@dataclass
class Authority:
    """Vouches for the server and for clients. `files` are the server's."""

    ca: trustme.CA
    folder: Path
    files: TlsFiles

    def client(self, *units: str, name: str = "prometheus") -> ssl.SSLContext:
        """Make what a client connects with; with units it has a certificate for its subject."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        for unit in units[:1]:
            issued = self.ca.issue_cert(common_name=name, organization_unit_name=unit)
            issued.configure_cert(context)
        return context


def make_authority(folder: Path) -> Authority:
    """Make an authority and a server's certificate in a folder."""
    ca = trustme.CA()
    files = TlsFiles(
        certificate=folder / "certificate.pem", key=folder / "key.pem", client_ca=folder / "ca.pem"
    )
    assert files.client_ca is not None
    ca.cert_pem.write_to_path(files.client_ca)
    issued = ca.issue_cert("127.0.0.1", "localhost")
    issued.private_key_pem.write_to_path(files.key)
    issued.cert_chain_pems[0].write_to_path(files.certificate)
    return Authority(ca, folder, files)


@dataclass
class OverTcp:
    """A daemon that serves over TCP, and somebody's way to it."""

    daemon: Daemon
    server: ApiServer
    authority: Authority

    @property
    def url(self) -> str:
        """Where it is asked."""
        return f"https://127.0.0.1:{self.server.port}"

    def token(self, role: Granted, *, name: str | None = None) -> str:
        """Make a token."""
        secret, _ = self.daemon.doorkeeper.tokens.create(role=role, name=name, lasts_s=None)
        return secret

    @asynccontextmanager
    async def client(
        self, role: Granted | None = None, *, unit: str | None = None
    ) -> AsyncIterator[httpx2.AsyncClient]:
        """Ask with a token of a role, or a certificate of a unit, or as nobody."""
        headers = {} if role is None else {"authorization": f"Bearer {self.token(role)}"}
        context = self.authority.client(*([] if unit is None else [unit]))
        async with httpx2.AsyncClient(
            verify=context, base_url=self.url, headers=headers, trust_env=False
        ) as client:
            yield client


@asynccontextmanager
async def serving_over_tcp(daemon: Daemon, *, deadline_s: float = 20.0) -> AsyncIterator[OverTcp]:
    """Serve on TCP, at a port of the kernel's choice."""
    authority = make_authority(daemon.folder)
    tcp = Tcp(address="127.0.0.1", port=0, files=authority.files)
    async with daemon.serving(tcp=tcp, deadline_s=deadline_s) as server:
        yield OverTcp(daemon, server, authority)
