"""TLS as the API over TCP has it: our certificate, and whose clients' certificates count.

Nothing older than TLS 1.2. What cannot be used is refused in words, before anybody listens.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from barostat.errors import InputError

__all__ = ["TlsFiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the parts of TLS stand, each in PEM.

    Attributes:
        certificate: ours, with what leads to its authority.
        key: its private key, without a passphrase.
        client_ca: authorities whose clients' certificates count; None: none does.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Make what new connections are made with. Reads files, so it blocks for a moment.

        Raises:
            InputError: a file is missing, or is not what it should be.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for path in (self.certificate, self.key, self.client_ca):
            if path is not None:
                _check_readable(path)
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_passphrase)
        except ssl.SSLError as error:
            raise InputError(
                f"{self.certificate}, {self.key}: no certificate and its key: {_words(error)}",
                hint="give both as PEM, the key of this certificate; `openssl x509 -in FILE -text` "
                "shows what a certificate is",
            ) from error
        if self.client_ca is not None:
            _trust(context, self.client_ca)
        return context


def _trust(context: ssl.SSLContext, client_ca: Path) -> None:
    """Ask for a client's certificate; whoever has none may still show a token."""
    try:
        context.load_verify_locations(client_ca)
    except ssl.SSLError as error:
        raise InputError(
            f"{client_ca} holds no certificates of authorities: {_words(error)}",
            hint="give them as PEM, one after the other",
        ) from error
    context.verify_mode = ssl.CERT_OPTIONAL


def _check_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}",
            hint="[service] names it; nobody listens on TCP without a certificate and its key",
        ) from error


def _no_passphrase() -> NoReturn:
    raise InputError(
        "the key of the certificate has a passphrase, and a daemon has nobody to ask for it",
        hint="`openssl pkey -in KEY -out NEW` writes it without one; keep that one root's alone",
    )


def _words(error: ssl.SSLError) -> str:
    return (error.reason or "one of them is not PEM").replace("_", " ").lower()
