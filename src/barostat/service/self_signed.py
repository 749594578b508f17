"""A certificate that nobody vouches for, for the demonstration and labs.

A browser says so, and opens the page once its user has agreed: by then he may have compared the
fingerprint. A host that others look at takes a certificate of an authority they know.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from barostat.errors import ServiceError
from barostat.service.tls import TlsFiles

__all__ = ["fingerprint", "make_self_signed"]

DEADLINE_S: Final = 10.0
DAYS: Final = 30
"""Longer than any demonstration, and soon forgotten."""

HINT: Final = "`apt-get install openssl` brings it; or give a certificate of your own"


def make_self_signed(
    folder: Path, names: Sequence[str] = ("127.0.0.1", "::1", "localhost")
) -> TlsFiles:
    """Make a certificate and its key in a folder. Blocks for a moment.

    Args:
        folder: where; it is there.
        names: addresses and names that it is for.

    Raises:
        ServiceError: it cannot be made.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise ServiceError("no certificate can be made: there is no openssl", hint=HINT)
    files = TlsFiles(certificate=folder / "certificate.pem", key=folder / "key.pem")
    kinds = ",".join(f"{'IP' if _is_address(name) else 'DNS'}:{name}" for name in names)
    command = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days {DAYS}".split()
    command += ["-subj", f"/CN=Barostat on {os.uname().nodename}"]
    command += ["-addext", f"subjectAltName={kinds}"]
    command += ["-out", str(files.certificate), "-keyout", str(files.key)]  # the key: mode 0600
    try:
        subprocess.run([openssl, *command], capture_output=True, timeout=DEADLINE_S, check=True)  # noqa: S603 - our own words
    except (OSError, subprocess.SubprocessError) as error:
        raise ServiceError(f"openssl made no certificate: {error}", hint=HINT) from error
    return files


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def fingerprint(certificate: Path) -> str:
    """Say a certificate's SHA-256 as browsers show it."""
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(certificate.read_text())).hexdigest()
    return ":".join(digest[place : place + 2] for place in range(0, len(digest), 2)).upper()
