"""The page's files: what a browser is told with them, and what there is not."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from barostat.service import web

from .conftest import Daemon

FOLDER = Path(web.__file__).parent.parent / "web"


@pytest.fixture
def served(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> httpx2.AsyncClient:
    """The page, whether what it stands on was fetched here or not."""
    read = web._read

    def whole(folder: Path, prefix: str = "") -> dict[str, web._File]:
        file = web._File(content=b"", media_type="text/javascript", tag='"x"')
        return {"vendor/preact.js": file, **read(folder, prefix)}

    monkeypatch.setattr(web, "_read", whole)
    return client_of(daemon.app())


def client_of(app: FastAPI) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://barostat")


async def test_the_page_may_load_from_its_own_origin_alone(served: httpx2.AsyncClient) -> None:
    page = await served.get("/")

    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_the_page_names_no_other_host_and_has_nothing_inline() -> None:
    for path in FOLDER.glob("*.*"):
        text = path.read_text()
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == [], path.name
    page = (FOLDER / "index.html").read_text()
    assert re.findall(r"<script>|<style|style=|onclick=", page) == []


async def test_every_file_that_a_file_of_ours_names_is_there(served: httpx2.AsyncClient) -> None:
    wanted = {"index.html"}
    for path in FOLDER.glob("*.*"):
        text = path.read_text()
        wanted |= set(re.findall(r'"/web/([^"]+)"', text))
        wanted |= set(re.findall(r'from "\./([^"]+)"', text))

    for name in sorted(name for name in wanted if not name.startswith("vendor/")):
        assert (await served.get(f"/web/{name}")).status_code == 200, name
    assert "main.js" in wanted


async def test_a_file_that_a_browser_has_is_not_sent_again(served: httpx2.AsyncClient) -> None:
    first = await served.get("/web/main.js")
    again = await served.get("/web/main.js", headers={"if-none-match": first.headers["etag"]})

    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["nothing.js", "__init__.py", "vendor/nothing.js", "..%2Fapp.py"])
async def test_what_is_no_file_of_the_page_is_not_found(
    served: httpx2.AsyncClient, path: str
) -> None:
    assert (await served.get(f"/web/{path}")).status_code == 404


async def test_a_page_without_its_modules_says_how_to_get_them(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "FETCHED", "nowhere")
    answer = await client_of(daemon.app()).get("/")

    assert answer.status_code == 503
    assert "make web" in answer.json()["hint"]
