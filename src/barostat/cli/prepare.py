"""`barostat prepare`: the XML that a libvirt domain needs for Dynamic Memory, printed or defined.

The XML goes to stdout and the talk to stderr, so that `barostat prepare VM > vm.xml` gives what
`virsh define` takes. Nothing is written without `--write`, and then not without asking.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, Final

import click

from barostat.cli.options import SIZE, output_option
from barostat.cli.output import print_json, say
from barostat.errors import InputError
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.hypervisors.prepare import Preparation, prepare
from barostat.units import format_size

__all__ = ["prepare_command"]

SYSTEM: Final = "qemu:///system"
"""Where the VMs of a host are, as opposed to those of a user."""

DEADLINE_S: Final = 30.0
"""The first definition after libvirtd's start may have to wait until it has asked every QEMU."""


@click.command()
@click.argument("vm")
@click.option("--startup", type=SIZE, help="Its boot RAM from now on. Default: as it is.")
@click.option("--maximum", type=SIZE, help="What its devices are to allow. Default: as it is.")
@click.option(
    "--connect",
    default=SYSTEM,
    envvar="LIBVIRT_DEFAULT_URI",
    show_default=True,
    show_envvar=True,
    help="The libvirt connection.",
)
@click.option("--write", is_flag=True, help="Define the domain anew, after asking.")
@click.option("--yes", is_flag=True, help="With --write: do not ask.")
@output_option
def prepare_command(
    vm: str,
    *,
    startup: int | None,
    maximum: int | None,
    connect: str,
    write: bool,
    yes: bool,
    output: str,
) -> None:
    """Print the domain XML that a VM needs for Dynamic Memory, or define it.

    A balloon with statistics, autodeflate and free page reporting, ports for Barostat's agent and
    qemu-guest-agent, and, with --maximum, a virtio-mem device for each of its NUMA nodes. Takes
    effect when the VM is next started.
    """
    if yes and not write:
        raise InputError("--yes answers what only --write asks", hint="add --write")
    asyncio.run(_prepare(vm, startup, maximum, connect, write=write, yes=yes, output=output))


async def _prepare(
    vm: str,
    startup: int | None,
    maximum: int | None,
    connect: str,
    *,
    write: bool,
    yes: bool,
    output: str,
) -> None:
    libvirt = LibvirtHypervisor(connect, deadline_s=DEADLINE_S)
    try:
        before = await libvirt.domain_xml(vm, inactive=True)
        done = prepare(before, startup_bytes=startup, maximum_bytes=maximum)
        _tell(vm, done)
        wanted = write and bool(done.changes) and await _agreed(vm, yes=yes)
        if wanted:
            await libvirt.define(done.xml)
            say(f"{vm} is defined anew.")
    finally:
        await libvirt.close()
    if output == "json":
        print_json(_document(done, written=wanted))
    elif not write:
        click.echo(done.xml, nl=False)


def _tell(vm: str, done: Preparation) -> None:
    """Say on stderr what is different, and what the XML cannot say."""
    if not done.changes:
        say(f"{vm} has what Dynamic Memory needs.")
    for change in done.changes:
        say(f"- {change}")
    limits = f"boots with {format_size(done.startup_bytes)}, may grow to "
    say(f"{vm} {limits}{format_size(done.maximum_bytes)}.")
    if done.changes:
        for remark in done.remarks:
            say(f"Note: {remark}.")


async def _agreed(vm: str, *, yes: bool) -> bool:
    """Ask whether to write; who cannot be asked has not agreed."""
    if yes:
        return True
    if not sys.stdin.isatty():
        raise InputError(
            f"{vm} would be changed, and there is nobody to ask",
            hint="look at the changes above and add --yes; nothing was changed",
        )
    return await asyncio.to_thread(click.confirm, f"Define {vm} so?", default=False, err=True)


def _document(done: Preparation, *, written: bool) -> dict[str, Any]:
    return {
        "xml": done.xml,
        "changes": list(done.changes),
        "remarks": list(done.remarks),
        "startup_bytes": done.startup_bytes,
        "maximum_bytes": done.maximum_bytes,
        "written": written,
    }
