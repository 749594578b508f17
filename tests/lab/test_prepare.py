"""`barostat prepare` against a real libvirtd: what it writes can be defined, started and moved."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from barostat.lab.fleet import Kit
from barostat.lab.libvirtd import PrivateLibvirtd

pytestmark = pytest.mark.lab

BAROSTAT = Path(sys.executable).parent / "barostat"

PLAIN = """
<domain type='qemu'>
  <name>web</name>
  <memory unit='MiB'>512</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices><memballoon model='none'/></devices>
</domain>
"""


@pytest.fixture
async def libvirtd(libvirt_kit: Kit, tmp_path: Path) -> AsyncIterator[PrivateLibvirtd]:
    async with PrivateLibvirtd(tmp_path / "l", accelerator=libvirt_kit.accelerator) as libvirtd:
        plain = tmp_path / "plain.xml"
        plain.write_text(PLAIN)
        await libvirtd.virsh("define", str(plain))
        yield libvirtd


async def run(libvirtd: PrivateLibvirtd, *words: str) -> tuple[int | None, str, str]:
    """Run the command as a script does: with nobody to ask."""
    process = await asyncio.create_subprocess_exec(
        *(str(BAROSTAT), "prepare", *words, "--connect", libvirtd.uri),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_what_is_printed_is_not_written(libvirtd: PrivateLibvirtd) -> None:
    before = await libvirtd.virsh("dumpxml", "web")

    code, out, err = await run(libvirtd, "web", "--startup", "256MiB", "--maximum", "1GiB")

    assert code == 0, err
    assert "<maxMemory" in out
    assert "- a virtio balloon" in err
    assert await libvirtd.virsh("dumpxml", "web") == before


async def test_nothing_is_written_where_nobody_can_be_asked(libvirtd: PrivateLibvirtd) -> None:
    before = await libvirtd.virsh("dumpxml", "web")

    code, out, err = await run(libvirtd, "web", "--maximum", "1GiB", "--write")

    assert (code, out) == (2, "")
    assert "nothing was changed" in err
    assert await libvirtd.virsh("dumpxml", "web") == before


async def test_a_domain_that_is_defined_so_starts_and_its_memory_is_plugged(
    libvirtd: PrivateLibvirtd,
) -> None:
    words = ("web", "--startup", "256MiB", "--maximum", "1GiB", "--write", "--yes")

    code, _, err = await run(libvirtd, *words)
    again, document, _ = await run(libvirtd, "web", "--output", "json")
    await libvirtd.virsh("start", "web")
    alias = "virtiomem0"
    await libvirtd.virsh("update-memory-device", "web", "--alias", alias, "--requested-size", "64M")
    live = await libvirtd.virsh("dumpxml", "web")

    assert (code, again) == (0, 0), err
    assert json.loads(document)["changes"] == []
    assert "<requested unit='KiB'>65536</requested>" in live
    assert "<currentMemory unit='KiB'>262144</currentMemory>" in live
    assert live.count("<source mode='bind' path='") == 2  # libvirt has found places for the ports


async def test_a_name_that_no_domain_has_is_said_so(libvirtd: PrivateLibvirtd) -> None:
    code, out, err = await run(libvirtd, "wbe")

    assert (code, out) == (2, "")
    assert 'no VM "wbe"' in err
    assert "hint:" in err
