"""The web page's files, read once. A browser gets these and nothing else from anywhere.

The page may load from its own origin alone, and runs no inline script or style; nobody may frame
it. It holds no data: what it shows it asks of /v1, with whatever rights its user has.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from barostat.errors import ServiceError

__all__ = ["add_web_routes", "check_whole"]

POLICY: Final = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)

HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cache-control": "no-cache",  # ask whether it is still the same: an upgrade shows at once
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
)

TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
    }
)

FRONT: Final = "index.html"
FETCHED: Final = "vendor"


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    content: bytes
    media_type: str
    tag: str


def _read(folder: Traversable, prefix: str = "") -> dict[str, _File]:
    """Read a folder and `vendor` in it, by path."""
    found: dict[str, _File] = {}
    for item in folder.iterdir():
        suffix = item.name[item.name.rfind(".") :]
        if item.name == FETCHED:
            found |= _read(item, f"{FETCHED}/")
        elif suffix in TYPES:
            content = item.read_bytes()
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            found[prefix + item.name] = _File(content=content, media_type=TYPES[suffix], tag=tag)
    return found


def _answer(file: _File, request: Request) -> Response:
    headers = {**HEADERS, "etag": file.tag}
    known = re.findall(r'"[^"]*"', request.headers.get("if-none-match", ""))
    if file.tag in known:
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers=headers, media_type=file.media_type)


def check_whole() -> None:
    """See whether all that the page loads is there.

    Raises:
        ServiceError: it is not.
    """
    if not (files("barostat") / "web" / FETCHED).is_dir():
        raise ServiceError(
            "the web page is not installed whole: the modules it loads are missing",
            hint="in a checkout, `make web` fetches them; a package has them",
        )


def add_web_routes(app: FastAPI) -> None:
    """Serve the page at / and its files at /web/NAME and /web/vendor/NAME."""
    there = _read(files("barostat") / "web")

    @app.get("/", include_in_schema=False)
    async def front(request: Request) -> Response:
        check_whole()
        return _answer(there[FRONT], request)

    @app.get("/web/{name}", include_in_schema=False)
    async def ours(name: str, request: Request) -> Response:
        return _found(name, request)

    @app.get("/web/vendor/{name}", include_in_schema=False)
    async def fetched(name: str, request: Request) -> Response:
        return _found(f"{FETCHED}/{name}", request)

    def _found(path: str, request: Request) -> Response:
        if path not in there:
            raise HTTPException(404, f"the page has no file {path}")
        return _answer(there[path], request)
