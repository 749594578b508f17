"""Tokens: random words that open the API over TCP, each with a name and a role.

Only their hashes are kept, in one file that root alone may read; a token is shown once, when it is
made. The file is written by the daemon and by commands, one at a time, whole or not at all, and
read again as soon as it changes: a token that was revoked opens nothing any more.
Everything here may block for a moment, and belongs in a worker thread.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from barostat.config.settings_edit import replace_file, turn
from barostat.errors import InputError, ServiceError
from barostat.service.documents import TokenView

__all__ = ["PREFIX", "Granted", "Token", "TokenStore", "checked_name", "digest_of", "view_of"]

PREFIX: Final = "bst_"
"""Tells people, and programs that look for secrets where none should be, what it is."""

RANDOM_BYTES: Final = 32
"""No guess finds 256 bits; so a fast hash is enough, and no salt is needed."""

MOST_TOKENS: Final = 256
LONGEST_NAME: Final = 64
LARGEST_FILE_BYTES: Final = 2**20

SHORTEST_LIFE_S: Final = 1.0
LONGEST_LIFE_S: Final = 10 * 365 * 86_400.0
"""What should last for longer needs no expiry."""

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]*")

Granted = Literal["viewer", "operator", "admin"]


class Token(BaseModel):
    """A token as it is kept: everything but itself. Times are seconds since 1970."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    role: Granted
    last_four: str
    created_at_s: float
    expires_at_s: float | None
    sha256: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    tokens: tuple[Token, ...] = ()


def digest_of(secret: str) -> str:
    """Hash a token as it is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def view_of(token: Token, store: TokenStore) -> TokenView:
    """Say what anybody may know of a token."""
    return TokenView(**token.model_dump(exclude={"sha256"}), good=store.is_good(token))


class TokenStore:
    """The tokens in a file; no file: none.

    Args:
        path: the file. Its folder is made with the first token.
        clock: seconds since 1970.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._read: tuple[tuple[int, int, int], tuple[Token, ...]] | None = None

    def all(self) -> tuple[Token, ...]:
        """Give all tokens, also those that are no longer good, in the order they were made.

        Raises:
            ServiceError: the file cannot be read.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(str(error.strerror)) from error
        stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
        read = self._read
        if read is None or read[0] != stamp:
            read = self._read = (stamp, self._content())
        return read[1]

    def find(self, digest: str) -> Token | None:
        """Find a token that is still good by its hash, in the same time whether it is there or not.

        Raises:
            ServiceError: the file cannot be read.
        """
        fitting = [token for token in self.all() if hmac.compare_digest(token.sha256, digest)]
        return next((token for token in fitting if self.is_good(token)), None)

    def is_good(self, token: Token) -> bool:
        """Say whether a token has not expired."""
        return token.expires_at_s is None or self._clock() < token.expires_at_s

    def create(
        self, *, role: Granted, name: str | None, lasts_s: float | None
    ) -> tuple[str, Token]:
        """Make a token.

        Args:
            role: what it may do.
            name: its name; None: its role and its last four characters.
            lasts_s: for how long it is good; None: until it is revoked.

        Returns:
            The token, which nobody can see again, and what is kept of it.

        Raises:
            InputError: the name or time cannot be used; nothing was changed.
            ConflictError, ServiceError: the file cannot be read or written.
        """
        if lasts_s is not None and not SHORTEST_LIFE_S <= lasts_s <= LONGEST_LIFE_S:
            raise InputError(
                f"a token cannot be good for {lasts_s:g} s",
                hint="give a second to ten years, or leave it out; nothing was changed",
            )
        secret = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
        now_s = self._clock()
        token = Token(
            name=checked_name(f"{role}-{secret[-4:].strip('-_')}" if name is None else name),
            role=role,
            last_four=secret[-4:],
            created_at_s=now_s,
            expires_at_s=None if lasts_s is None else now_s + lasts_s,
            sha256=digest_of(secret),
        )
        with self._changing() as tokens:
            if any(other.name == token.name for other in tokens):
                raise InputError(
                    f'there is a token "{token.name}" already',
                    hint="give another name, or revoke that one first; nothing was changed",
                )
            if len(tokens) >= MOST_TOKENS:
                raise InputError(
                    f"there are {len(tokens)} tokens, and no more are kept",
                    hint="revoke what nobody uses; `barostat token list` shows which have expired",
                )
            tokens.append(token)
        return secret, token

    def revoke(self, name: str) -> Token:
        """Take a token away, by its name.

        Raises:
            InputError: there is none of that name; nothing was changed.
            ConflictError, ServiceError: the file cannot be read or written.
        """
        with self._changing() as tokens:
            found = next((token for token in tokens if token.name == name), None)
            if found is None:
                raise InputError(
                    f"there is no token {name!r}",
                    hint="`barostat token list` names those there are",
                )
            tokens.remove(found)
        return found

    @contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """Give the tokens to change, and write them back: nobody else does so meanwhile."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with turn(self.path.parent):
                tokens = list(self.all())
                yield tokens
                # A first file is made closed; what replaces it keeps its rights.
                os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                replace_file(self.path, _File(tokens=tuple(tokens)).model_dump_json(indent=1))
        except OSError as error:
            raise ServiceError(
                f"the tokens in {self.path} cannot be changed: {error.strerror}",
                hint="tokens are root's: use sudo, or ask a daemon that runs; nothing was changed",
            ) from error

    def _content(self) -> tuple[Token, ...]:
        try:
            with self.path.open("rb") as file:
                data = file.read(LARGEST_FILE_BYTES)
            return _File.model_validate_json(data).tokens if data else ()
        except OSError as error:
            raise self._unreadable(str(error.strerror)) from error
        except ValidationError as error:
            raise self._unreadable("it is not what Barostat wrote") from error

    def _unreadable(self, why: str) -> ServiceError:
        return ServiceError(
            f"the tokens in {self.path} cannot be read: {why}",
            hint="use sudo; a file that was damaged may be removed: all tokens go with it",
        )


def checked_name(name: str) -> str:
    """Give a token's name back.

    Raises:
        InputError: it cannot be one.
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} cannot be the name of a token",
            hint=f"letters, digits and . _ @ - will do, {LONGEST_NAME} at most, a letter or digit "
            "first; nothing was changed",
        )
    return name
