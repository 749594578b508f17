"""A real Prometheus reads a real daemon over TLS, and warns of a real guest that is short."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.service.prometheus import RULES, free_port, running

from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec
from barostat.service.self_signed import make_self_signed
from barostat.service.tokens import TokenStore
from barostat.units import MIB

from .conftest import Running

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

SPEC = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=384 * MIB, swap_bytes=512 * MIB)
WITHIN_S = 40.0


async def until(says: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not await says():  # noqa: ASYNC110 - Prometheus has to be asked again
            await asyncio.sleep(0.3)


@asynccontextmanager
async def served(folder: Path, lab: Lab) -> AsyncIterator[tuple[int, str]]:
    """Run the daemon over a lab; give its port and a viewer's token."""
    (lab.folder / "web.toml").write_text('minimum = "128MiB"\n')
    files, port = make_self_signed(folder), free_port()
    token, _ = TokenStore(folder / "tokens.json").create(role="viewer", name="p", lasts_s=None)
    daemon = Running(folder, lab.folder)
    daemon.base = daemon.base.replace(
        "[history]",
        f'listen = "127.0.0.1:{port}"\ncertificate = "{files.certificate}"\nkey = "{files.key}"\n'
        "[history]",
    )
    daemon.write("")
    try:
        await asyncio.to_thread(daemon.start)
        yield port, token
    finally:
        daemon.close()


async def test_an_alert_fires_for_a_guest_in_warning_and_is_over_when_it_is_well(
    tmp_path: Path,
) -> None:
    kit = await asyncio.to_thread(ensure_kit, progress=logging.getLogger("lab").info)
    rules = re.sub(r"for: \w+", "for: 2s", (RULES / "barostat.rules.yml").read_text())
    warned = ("BarostatVMWarning", "web")
    (tmp_path / "prometheus").mkdir()
    async with (
        Lab([SPEC], kit=kit) as lab,
        served(tmp_path, lab) as (port, token),
        running(tmp_path / "prometheus", rules=rules, scrapes=port, token=token) as prometheus,
    ):

        async def firing(*, expected: bool) -> bool:
            return (warned in await prometheus.alerts()) is expected

        await until(prometheus.ready)
        await until(lambda: prometheus.says('barostat_dynamic_memory_vm_demand_bytes{vm="web"}'))
        assert warned not in await prometheus.alerts()

        await lab.guests["web"].hold(450 * MIB)
        await until(lambda: firing(expected=True))

        await lab.guests["web"].hold(40 * MIB)
        await until(lambda: firing(expected=False))
        assert await prometheus.value("up") == 1
