"""A real Prometheus for tests: Debian's package, unpacked into the lab's cache, not installed."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from barostat.errors import LabError
from barostat.lab.archives import unpacked
from barostat.lab.kernel import cache_folder

__all__ = ["RULES", "Prometheus", "ensure_prometheus", "free_port", "promtool", "running"]

RULES = Path(__file__).parent.parent.parent / "deploy" / "prometheus"

CONFIGURATION = """\
global: {{scrape_interval: 500ms, evaluation_interval: 500ms}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: barostat
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""

OVER_TLS = """\
    scheme: https
    authorization: {{credentials: {token}}}
    tls_config: {{insecure_skip_verify: true}}
"""


def ensure_prometheus() -> Path:
    """Find the folder of Prometheus's programs; fetch the package if it is not there.

    Raises:
        LabError: it cannot be had.
    """
    package = unpacked(
        "prometheus", cache_folder() / "packages", progress=logging.getLogger("lab").info
    )
    folder = package / "usr" / "bin"
    if not (folder / "promtool").is_file():
        raise LabError(f"{package} has no promtool", hint="remove it and try again")
    return folder


async def promtool(*arguments: str, says: bytes = b"", cwd: Path = RULES) -> tuple[int, str]:
    """Run promtool; give its exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        ensure_prometheus() / "promtool",
        *arguments,
        cwd=cwd,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        printed, _ = await process.communicate(says)
    return process.returncode or 0, printed.decode()


class Prometheus:
    """What a Prometheus that runs knows."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client

    async def alerts(self) -> set[tuple[str, str]]:
        """Give the alerts that fire, each with the VM that it is about."""
        answer = (await self._client.get("/api/v1/alerts")).json()
        return {
            (alert["labels"]["alertname"], alert["labels"].get("vm", ""))
            for alert in answer["data"]["alerts"]
            if alert["state"] == "firing"
        }

    async def value(self, query: str) -> float | None:
        """Give the first value of a query, None if it has no result."""
        answer = (await self._client.get("/api/v1/query", params={"query": query})).json()
        assert answer["status"] == "success", (query, answer)
        found = answer["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    async def says(self, query: str) -> bool:
        """Say whether a query has a result."""
        return await self.value(query) is not None

    async def ready(self) -> bool:
        """Say whether it answers."""
        try:
            return (await self._client.get("/-/ready")).is_success
        except httpx2.TransportError:
            return False


def free_port() -> int:
    """Find a port of the loopback that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def running(
    folder: Path, *, rules: str, scrapes: int, token: str = ""
) -> AsyncIterator[Prometheus]:
    """Run a Prometheus that scrapes a port of the loopback twice a second, until the body ends.

    With a token it speaks TLS.
    """
    how = OVER_TLS.format(token=token) if token else ""
    (folder / "prometheus.yml").write_text(CONFIGURATION.format(port=scrapes) + how)
    (folder / "rules.yml").write_text(rules)
    address = f"127.0.0.1:{free_port()}"
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            ensure_prometheus() / "prometheus",
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={address}",
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx2.AsyncClient(base_url=f"http://{address}", timeout=5) as client:
            yield Prometheus(client)
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(20):
            await process.wait()
